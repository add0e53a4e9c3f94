"""Which label an answer names: by rule, in the forms that models answer in."""

import pytest

from harness.scoring import classification
from harness.scoring.label_answers import same_labels

TICKETS = ("billing", "refund", "technical issue", "other")
TOPICS = ("World", "Sports", "Business", "Sci/Tech")
MOODS = ("positive", "negative", "neutral")
STARS = ("1", "2", "3", "4", "5")

RIGHT = ""
CASES = [
    (TICKETS, "billing", "billing", RIGHT),
    (TICKETS, "Billing.", "billing", RIGHT),
    (TICKETS, "**Refund**", "refund", RIGHT),
    (TICKETS, "Label: refund", "refund", RIGHT),
    (TICKETS, '{"label": "refund"}', "refund", RIGHT),
    (
        TICKETS,
        '```json\n{"category": "technical_issue", "confidence": 0.9}\n```',
        "technical issue",
        RIGHT,
    ),
    (TICKETS, "The message is about a refund, so it is: refund", "refund", RIGHT),
    (TICKETS, "This is a technical issue because the app crashes.", "technical issue", RIGHT),
    (TICKETS, "A", "billing", RIGHT),
    (TICKETS, "(B)", "refund", RIGHT),
    (TICKETS, "B) refund", "refund", RIGHT),
    (TICKETS, "The answer is C.", "technical issue", RIGHT),
    (TICKETS, "billing or refund", "billing", "several_labels"),
    (TICKETS, "billing, refund", "refund", "several_labels"),
    (TICKETS, "complaint", "billing", "outside_label"),
    (TICKETS, "Label: complaint", "billing", "outside_label"),
    (TICKETS, '{"label":"complaint"}', "billing", "outside_label"),
    (
        TICKETS,
        "I think the customer is quite upset and wants someone to call them back tomorrow",
        "billing",
        "no_label",
    ),
    (TICKETS, "It is not billing but refund.", "refund", RIGHT),
    (TICKETS, "Not billing.", "billing", "no_label"),
    (
        TICKETS,
        "refund\n\nExplanation: the customer mentions billing, but wants money back.",
        "refund",
        RIGHT,
    ),
    (TICKETS, "The customer mentions billing and a refund.\nLabel: refund", "refund", RIGHT),
    (TICKETS, "The customer mentions billing.\n\nrefund", "refund", RIGHT),
    (TICKETS, "billing\n\nText: my card was refunded\nLabel: refund", "billing", RIGHT),
    (TICKETS, "", "billing", "empty"),
    (TICKETS, "...", "billing", "empty"),
    (TICKETS, "refund", "billing", "wrong_label"),
    (TICKETS, "I don't know.", "billing", "abstained"),
    (TICKETS, "I would classify this as a technical issue.", "technical issue", RIGHT),
    (TICKETS, "<think>billing? no</think>refund", "refund", RIGHT),
    (TICKETS, "The label is not billing. It is refund.", "refund", RIGHT),
    (TICKETS, "Neither billing nor refund: other", "other", RIGHT),
    (TICKETS, '["billing","refund"]', "billing", "several_labels"),
    (TICKETS, '["billing"]', "billing", RIGHT),
    (TICKETS, '{"label": "B"}', "refund", RIGHT),
    (TICKETS, "Label: B", "refund", RIGHT),
    (TICKETS, "Technical-Issue", "technical issue", RIGHT),
    (TICKETS, "TechnicalIssue", "technical issue", RIGHT),
    (TICKETS, "refund rather than billing", "refund", RIGHT),
    (TICKETS, "Category: Refund (the customer asks for money back)", "refund", RIGHT),
    (TICKETS, "Both billing and refund apply", "refund", "several_labels"),
    (TICKETS, "Labels: billing, refund, technical issue, other\nLabel: other", "other", RIGHT),
    (TICKETS, "None of the labels fits.", "other", "outside_label"),
    (("spam", "not spam"), "This is not spam.", "not spam", RIGHT),
    (("spam", "not spam"), "spam", "not spam", "wrong_label"),
    (("spam", "ham"), "This is not spam.", "spam", "no_label"),
    (("toxic", "non-toxic"), "nontoxic", "non-toxic", RIGHT),
    (("toxic", "safe"), "It is non-toxic", "toxic", "outside_label"),
    (STARS, "4 stars", "4", RIGHT),
    (STARS, "I would rate it 4 out of 5.", "4", RIGHT),
    (STARS, "4/5", "4", RIGHT),
    (STARS, "4.5", "4", "outside_label"),
    (("-1", "0", "1"), "-1", "-1", RIGHT),
    (("-1", "0", "1"), "1", "-1", "wrong_label"),
    (("<=50K", ">50K"), ">50K", ">50K", RIGHT),
    (("<=50K", ">50K"), "The label is <=50K.", "<=50K", RIGHT),
    (("yes", "no"), "No, it is not.", "no", RIGHT),
    (("yes", "no"), "Yes.", "yes", RIGHT),
    (("True", "False"), "true", "True", RIGHT),
    (("True", "False"), '{"label": false}', "False", RIGHT),
    (("A", "B", "C"), "B", "B", RIGHT),
    (("A", "B", "C"), "The label is C", "C", RIGHT),
    (TOPICS, "Sci/Tech", "Sci/Tech", RIGHT),
    (TOPICS, "sci tech", "Sci/Tech", RIGHT),
    (TOPICS, "The topic of this article is Business.", "Business", RIGHT),
    (TOPICS, "Sports: it reports on the World Cup", "Sports", RIGHT),
    (MOODS, "The sentiment of the review is positive.", "positive", RIGHT),
    (MOODS, "positive positive positive positive positive positive positive", "positive", RIGHT),
    (MOODS, "It is neither positive nor negative.", "neutral", "no_label"),
    (("positive", "very positive"), "very positive", "very positive", RIGHT),
    (("体育", "财经"), "这是体育新闻。", "体育", RIGHT),
    (("体育", "财经"), "标签是：财经", "财经", RIGHT),
    (
        ("card_arrival", "card_not_working"),
        "The intent is card not working",
        "card_not_working",
        RIGHT,
    ),
    (("Beschwerde", "Lob"), "Das ist eine Beschwerde.", "Beschwerde", RIGHT),
    (("Beschwerde", "Lob"), "Kein Lob, sondern Beschwerde", "Beschwerde", RIGHT),
    (("C++", "C", "Java"), "C++", "C++", RIGHT),
    (("C++", "C#", "Java"), "It's C# code", "C#", RIGHT),
    (("question", "statement"), "The sentence is a question.", "question", RIGHT),
    (
        ("entailment", "contradiction", "neutral"),
        "The answer is entailment, since A dog is an animal.",
        "entailment",
        RIGHT,
    ),
    (("0", "1"), "Label: 1", "1", RIGHT),
    (("0", "1"), "10", "1", "outside_label"),
]
"""Labels, an answer, the right label, and the cause by which the answer is wrong."""


@pytest.mark.parametrize(("labels", "response", "label", "cause"), CASES)
def test_a_label_is_read_or_the_cause_is_named(
    labels: tuple[str, ...], response: str, label: str, cause: str
) -> None:
    """Alone, in a sentence, in JSON, declared, or by letter; several are never one."""
    verdict = classification(labels, label, response)
    assert verdict.labels == ((cause,) if cause else ())
    assert verdict.score == float(not cause)


def test_an_answer_that_was_cut_says_so() -> None:
    """Where no label was reached, the limit is the cause; a label that was is read."""
    cut = classification(
        TICKETS, "refund", "Let me think about what the customer wants, and", finish="length"
    )
    assert cut.labels == ("truncated",)
    assert classification(TICKETS, "refund", "Label: refund, since", finish="length").score == 1.0


def test_a_right_label_outside_the_set_is_nobodys_fault() -> None:
    """The row is unscored, not wrong."""
    assert classification(("a1", "b1"), "c1", "a1").outcome == "unscored"


def test_labels_that_no_reader_could_tell_apart_are_found() -> None:
    """By case, or by how their words are joined."""
    assert same_labels(["card_arrival", "Card arrival"]) == ("card_arrival", "Card arrival")
    assert same_labels(["-1", "1"]) is None
