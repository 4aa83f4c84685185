"""The node's store: RocksDB and its in-memory twin, and the layout of keys."""
