"""router.routing: see OVERVIEW.md."""
