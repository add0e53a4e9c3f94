"""SQL text and trees, without a database.

``extract`` finds the statement in a response, ``lexer`` reads tokens, ``sqlglot_tree`` parses,
``dialects`` translates, ``binding`` resolves names, ``canonical`` and ``clauses`` make comparable.
"""
