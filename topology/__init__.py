"""topology: see OVERVIEW.md."""
