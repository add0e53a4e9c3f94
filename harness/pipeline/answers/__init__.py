"""Generate missing responses, store them, and score all."""
