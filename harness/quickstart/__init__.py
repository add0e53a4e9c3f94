"""The built-in base model, its invented data and its study: what ``harness quickstart`` runs.

Texts that a person can edit are in ``content/*.toml``; the modules turn them into pretraining
text, suite data and training rows. Everything is drawn from a seed that the caller names.
"""
