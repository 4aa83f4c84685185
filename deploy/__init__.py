"""Trizone in containers: the image, the compose file, and what starts both where there is no registry and no engine."""
