"""Apply: what committed entries do to the store."""
