"""Clients of a cluster under fault: connections, what they were told, what is recorded."""
