"""Whole dialogues: scripted user turns, a model's own answers, and probes of what it keeps."""
