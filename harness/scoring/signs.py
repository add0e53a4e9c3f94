"""What goes wrong with free text whatever was asked: empty, refused, looping, leaking a role.

Rules over the words alone, the same for every suite, so that a label means the same in each.
Sources of the kinds: Higashinaka et al. 2021, "Integrated taxonomy of errors in chat-oriented
dialogue systems"; Welleck et al. 2020, "Neural Text Generation with Unlikelihood Training"
(seq-rep-n); Li et al. 2016, "A Diversity-Promoting Objective Function" (distinct-n).
"""

import re
from collections.abc import Sequence

from harness.scoring.normalize import words

LOOP = 0.3
"""The share of repeated 4-grams from which a response counts as a loop."""

_ROLE = re.compile(
    r"<\|[^|>\n]{0,40}\|?>|</?s>|\[/?INST\]|<(?:start|end)_of_turn>"
    r"|(?:^|\n)[ \t]*(?:user|assistant|human|system|bot|speaker ?\d?)[ \t]*:",
    re.IGNORECASE,
)
_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL | re.IGNORECASE)
_MARKUP = re.compile(r"(?<!\w)[*_`#>]+|[*_`]+(?!\w)|\\text\b|^\s*[-•]\s+", re.MULTILINE)
_REFUSAL = re.compile(
    r"\b(?:i(?: am|['’]m) (?:sorry|afraid|unable|not able|not sure)"
    r"|i (?:do not|don['’]t|cannot|can['’]?t|could not|couldn['’]t|can not)"
    r" (?:know|say|tell|answer|help|find|recall|remember|assist|determine|provide)"
    r"|as an ai\b|no idea|(?:is|was) not (?:mentioned|stated|given|specified)"
    r"|cannot be (?:answered|determined)|not enough information|unanswerable|no answer\b)",
    re.IGNORECASE,
)


def spoken(response: str) -> str:
    r"""Return what the model says to the user: no hidden reasoning, nothing after a leaked role.

    >>> spoken("<think>hm</think>Vienna<|end|>")
    'Vienna'
    >>> spoken("Assistant: Vienna\nUser: thanks")
    'Vienna'
    """
    text = _THOUGHT.sub("", response)
    while (mark := _ROLE.search(text)) is not None:
        if text[: mark.start()].strip():
            return text[: mark.start()].strip()
        text = text[mark.end() :]
    return text.strip()


def plain(text: str) -> str:
    """Return text without Markdown's marks; signs inside a word or a formula stay.

    >>> plain("- **Answer:** `CO_2`"), plain("2*3")
    ('Answer: CO_2', '2*3')
    """
    return _MARKUP.sub("", text).strip()


def leaks_role(response: str) -> bool:
    r"""Say whether the response contains a chat marker or goes on as another speaker.

    >>> leaks_role("Fine.\nUser: and you?"), leaks_role("The user: a person.")
    (True, False)
    """
    return _ROLE.search(_THOUGHT.sub("", response)) is not None


def abstains(response: str) -> bool:
    """Say whether the response declines to answer.

    >>> abstains("I don't know."), abstains("Unknown Pleasures")
    (True, False)
    """
    return _REFUSAL.search(response) is not None


def repeated(response: str, n: int = 4) -> float:
    """Return seq-rep-n: one minus distinct n-grams over n-grams, in [0, 1].

    >>> repeated("one two three four five"), repeated("so it is " * 6) > LOOP
    (0.0, True)
    """
    grams = _grams(words(response), n)
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def distinct(response: str, n: int = 2) -> float:
    """Return distinct-n: distinct n-grams over n-grams, in [0, 1]; 1 where there are none.

    >>> distinct("no no no no")
    0.3333333333333333
    """
    grams = _grams(words(response), n)
    return len(set(grams)) / len(grams) if grams else 1.0


def loops(response: str) -> bool:
    """Say whether the response is caught in a loop of words or characters.

    >>> loops("no " * 12), loops("very, very good"), loops("a" * 60)
    (True, False, True)
    """
    return repeated(response) > LOOP or re.search(r"(\w{1,4}?)\1{14,}", response) is not None


def jaccard(left: Sequence[str], right: Sequence[str]) -> float:
    """Return the shared share of two sets of words, in [0, 1]; 0 where either is empty."""
    one, two = set(left), set(right)
    return len(one & two) / len(one | two) if one and two else 0.0


def _grams(tokens: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
