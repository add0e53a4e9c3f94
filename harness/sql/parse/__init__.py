"""SQL text: one statement out of a response, its tokens, names bound to columns, clauses."""
