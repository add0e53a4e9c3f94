"""Groups of items: what they are called, which of them moved apart from the rest, what was lost."""
