"""Plain words for the technical labels that scoring functions give to wrong answers."""

PLAIN = {
    "unlabelled": "wrong, no cause given",
    # any generated answer
    "empty": "empty answer",
    "truncated": "did not stop: cut at the length limit",
    "repetition": "repeats itself",
    "refusal": "declined to answer",
    "format": "not in the format asked for",
    "no_answer": "no answer found in the text",
    "wrong_language": "answered in another language",
    "over_verbose": "far too long",
    "gold_suspect": "the reference itself may be wrong",
    # choices
    "wrong_choice": "chose a wrong option",
    # questions on documents
    "partial": "partly right",
    "wrong_answer": "a wrong answer",
    "hallucinated": "not in the source",
    "false_abstention": "said it could not know, though it could",
    "missed_abstention": "answered what cannot be known",
    # conversation
    "forgot": "forgot what was said",
    "contradiction": "contradicts what was said",
    "echo": "echoes the other speaker",
    "role_confusion": "speaks for the other side",
    "off_topic": "off the topic",
    # SQL
    "no_sql": "no SQL in the answer",
    "multiple_statements": "more than one statement",
    "forbidden_statement": "a statement that is not allowed",
    "syntax_error": "SQL that does not parse",
    "unknown_table": "a table that does not exist",
    "unknown_column": "a column that does not exist",
    "ambiguous_column": "a column name that could mean two",
    "timeout": "query ran too long",
    "wrong_filter_value": "filters by a wrong value",
    "wrong_filter_column": "filters on a wrong column",
    "wrong_filter_operator": "filters with a wrong comparison",
    "wrong_join": "joins tables wrongly",
    "wrong_aggregate": "a wrong aggregate",
    "wrong_grouping": "groups wrongly",
    "wrong_order": "a wrong order",
    "wrong_limit": "a wrong limit",
    "wrong_distinct": "duplicates kept or dropped wrongly",
    "extra_column": "a column too many",
    "missing_column": "a column too few",
    "wrong_result": "runs, but gives another result",
}


def plain(label: str) -> str:
    """Say a label in words; one that has no entry is shown with spaces for underscores.

    >>> plain("syntax_error")
    'SQL that does not parse'
    >>> plain("my_own_label")
    'my own label'
    """
    return PLAIN.get(label, label.replace("_", " "))
