"""SQL text and trees, without a database.

``extract`` finds the statement in a response: ``wording`` says whether text starts like one or
reads like English, and where it ends. ``lexer`` reads tokens, ``sqlglot_tree`` parses,
``dialects`` translates, ``binding`` resolves names, ``canonical`` and ``clauses`` make comparable.
"""
