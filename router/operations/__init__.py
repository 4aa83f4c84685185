"""router.operations: see OVERVIEW.md one folder up."""
