"""harness: see OVERVIEW.md."""
