"""Faults of a response whatever was asked: refusal, repetition, role leakage.

Rules over the words alone, the same for every suite, so that a label means the same in each.
Sources of the kinds: Higashinaka et al. 2021, "Integrated taxonomy of errors in chat-oriented
dialogue systems"; Welleck et al. 2020, "Neural Text Generation with Unlikelihood Training"
(seq-rep-n); Li et al. 2016, "A Diversity-Promoting Objective Function" (distinct-n).
"""

import re
from collections.abc import Sequence

from harness.scoring.normalize import words
from harness.thoughts import answer_of

REPETITION_THRESHOLD = 0.3
"""The seq-rep-4 from which a response counts as degenerate repetition."""

LONGEST = 40_000
"""Characters of a response that are read: more than a model writes that is not caught in a loop."""

_ROLE = re.compile(
    r"<\|[^|>\n]{0,40}\|?>|</?s>|\[/?INST\]|<(?:start|end)_of_turn>"
    r"|(?:^|\n)[ \t]*(?:user|assistant|human|system|bot|speaker ?\d?)[ \t]*:",
    re.IGNORECASE,
)
_MARKUP = re.compile(r"(?<!\w)[*_`#>]+|[*_`]+(?!\w)|\\text\b|^\s*[-•]\s+", re.MULTILINE)
_REFUSAL = re.compile(
    r"\b(?:i(?: am|['’]m) (?:sorry|afraid|unable|not able|not sure)"
    r"|i (?:do not|don['’]t|cannot|can['’]?t|could not|couldn['’]t|can not)"
    r" (?:know|say|tell|answer|help|find|recall|remember|assist|determine|provide)"
    r"|as an ai\b|no idea|(?:is|was) not (?:mentioned|stated|given|specified)"
    r"|cannot be (?:answered|determined)|not enough information|unanswerable|no answer\b)",
    re.IGNORECASE,
)


def visible_text(response: str) -> str:
    r"""Return the visible text: no hidden reasoning, nothing after a leaked role.

    >>> visible_text("<think>hm</think>Vienna<|end|>")
    'Vienna'
    >>> visible_text("Assistant: Vienna\nUser: thanks")
    'Vienna'
    """
    text = answer_of(response)
    while (role := _ROLE.search(text)) is not None:
        if text[: role.start()].strip():
            return text[: role.start()].strip()
        text = text[role.end() :]
    return text.strip()


def both_ends(response: str) -> str:
    """Return a response of up to ``LONGEST`` characters as it is, of a longer one both ends.

    >>> both_ends("Vienna"), len(both_ends("no " * 50_000)) <= LONGEST + 1
    ('Vienna', True)
    """
    if len(response) <= LONGEST:
        return response
    return f"{response[: LONGEST // 2]}\n{response[-LONGEST // 2 :]}"


def strip_markdown(text: str) -> str:
    """Return text without Markdown; characters inside a word or a formula stay.

    >>> strip_markdown("- **Answer:** `CO_2`"), strip_markdown("2*3")
    ('Answer: CO_2', '2*3')
    """
    return _MARKUP.sub("", text).strip()


def leaks_role(response: str) -> bool:
    r"""Say whether the response contains a chat marker or goes on as another speaker.

    >>> leaks_role("Fine.\nUser: and you?"), leaks_role("The user: a person.")
    (True, False)
    """
    return _ROLE.search(answer_of(response)) is not None


def abstains(response: str) -> bool:
    """Say whether the response declines to answer.

    >>> abstains("I don't know."), abstains("Unknown Pleasures")
    (True, False)
    """
    return _REFUSAL.search(response) is not None


def seq_rep_n(response: str, n: int = 4) -> float:
    """Return seq-rep-n: one minus distinct n-grams over n-grams, in [0, 1].

    >>> seq_rep_n("one two three four five"), seq_rep_n("so it is " * 6) > REPETITION_THRESHOLD
    (0.0, True)
    """
    grams = _grams(words(response), n)
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def distinct_n(response: str, n: int = 2) -> float:
    """Return distinct-n: distinct n-grams over n-grams, in [0, 1]; 1 where there are none.

    >>> distinct_n("no no no no")
    0.3333333333333333
    """
    grams = _grams(words(response), n)
    return len(set(grams)) / len(grams) if grams else 1.0


def is_repetitive(response: str) -> bool:
    """Say whether the response is degenerate repetition of words or characters.

    >>> is_repetitive("no " * 12), is_repetitive("very, very good"), is_repetitive("a" * 60)
    (True, False, True)
    """
    return (
        seq_rep_n(response) > REPETITION_THRESHOLD
        or re.search(r"(\w{1,4}?)\1{14,}", response) is not None
    )


def jaccard(left: Sequence[str], right: Sequence[str]) -> float:
    """Return the Jaccard similarity of two sets of words, in [0, 1]; 0 where either is empty."""
    one, two = set(left), set(right)
    return len(one & two) / len(one | two) if one and two else 0.0


def _grams(tokens: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
