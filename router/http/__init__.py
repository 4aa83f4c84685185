"""router.http: see OVERVIEW.md one folder up."""
