"""router.http: see OVERVIEW.md."""
