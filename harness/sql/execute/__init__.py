"""Databases and the killable, read-only worker processes that statements run in."""
