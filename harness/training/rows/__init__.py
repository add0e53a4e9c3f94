"""From examples to token ids, and which of them the loss looks at."""
