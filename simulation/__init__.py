"""A seeded cluster in virtual time: see OVERVIEW.md."""
