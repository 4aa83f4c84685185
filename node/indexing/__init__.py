"""Indexes on the node: what writes do to them, feeds between partitions, backfill. See OVERVIEW.md."""
