"""Neighbour databases on which equal queries must agree.

``instances`` draws their rows from the gold's ``predicates``, column profiles (``profile``) and
boundary ``values``; ``challenge`` runs a match on them.
"""
