"""router.routing: see OVERVIEW.md one folder up."""
