"""Loads whose results can be judged."""
