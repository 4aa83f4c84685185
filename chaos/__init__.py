"""chaos: see OVERVIEW.md."""
