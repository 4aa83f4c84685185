"""runtime: see OVERVIEW.md."""
