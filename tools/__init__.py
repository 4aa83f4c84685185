"""tools: see OVERVIEW.md."""
