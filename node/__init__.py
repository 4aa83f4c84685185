"""node: see OVERVIEW.md."""
