"""A history of runs: checks and scores in one database, and what drifted since which release.

No text of an item or an answer is kept: items are hashes.
"""
