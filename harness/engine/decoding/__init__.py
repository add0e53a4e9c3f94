"""How the next token is chosen, and when an answer ends."""
