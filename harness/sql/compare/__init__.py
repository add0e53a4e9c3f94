"""When two result tables count as the same answer."""
