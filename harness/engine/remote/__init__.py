"""Arms that answer elsewhere, behind lm-eval's own model classes."""
