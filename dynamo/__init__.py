"""dynamo: see OVERVIEW.md."""
