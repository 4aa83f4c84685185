"""wire: see OVERVIEW.md."""
