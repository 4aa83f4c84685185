"""node.faults: see OVERVIEW.md."""
