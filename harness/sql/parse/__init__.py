"""SQL text and trees, without a database.

``extract`` finds the statement in a response: ``statements`` says whether text starts like one or
reads like English, ``ending`` where it ends. ``lexer`` reads tokens, ``sqlglot_tree`` parses,
``dialects`` translates, ``binding`` resolves names, ``canonical`` and ``clauses`` make comparable.
"""
