"""Which token comes next, and when an answer ends."""
