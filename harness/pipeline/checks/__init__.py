"""Checks of a candidate before anything is trained."""
