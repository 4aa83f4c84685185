"""What can be done to a cluster, in pieces that can be put together."""
