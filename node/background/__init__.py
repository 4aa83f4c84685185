"""Background daemons, one a module."""
