"""Why an answer is wrong.

``failures`` explains statements that do not run, ``diagnosis`` those that do, clause by clause
(``joins``, ``filters``, ``projection``, ``repair``); ``gold_suspect`` flags golds at fault.
"""
