"""When two results are the same answer.

``gold_run`` runs a gold, ``ties`` says what it leaves open, ``tables`` compares under a ``policy``,
``published_rules`` as Spider and BIRD do; ``equivalence`` proves queries equal without running.
"""
