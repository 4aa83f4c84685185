"""router.operations: see OVERVIEW.md."""
