"""router: see OVERVIEW.md."""
