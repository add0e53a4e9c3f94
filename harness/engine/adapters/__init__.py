"""Adapters on one loaded base: read, checked, attached, switched."""
