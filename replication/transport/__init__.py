"""Carriers of Raft messages between nodes."""
