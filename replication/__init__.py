"""replication: see OVERVIEW.md."""
