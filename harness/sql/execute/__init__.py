"""Databases, and the processes that run untrusted SQL on them.

``sandbox`` pools killable, read-only ``worker`` processes that run ``jail/``, with typed
``messages``; ``database`` and ``column_stats`` say what a database holds.
"""
