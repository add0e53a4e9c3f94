"""Requests as a prefix trie: every shared token is computed once."""
