"""A turn of a conversation: recall, the proxy, and its gates."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.records import Message
from harness.scoring import coherence
from harness.scoring.dialogue import GATES, THRESHOLDS, messages
from harness.scoring.relevance import NEUTRAL, Relevance, overlap
from harness.scoring.stated_facts import claims, contradicts

DINNER = [
    "Hello!",
    "Hi, how can I help you with your trip?",
    "Do you know a good Italian restaurant near the station?",
]


def test_plain_texts_alternate_and_end_with_the_user() -> None:
    """Turns without roles are read from the end, where the user speaks."""
    assert [turn.role for turn in messages(DINNER)] == ["user", "assistant", "user"]
    assert [turn.role for turn in messages(DINNER[:2])] == ["assistant", "user"]


@settings(deadline=None)
@given(st.lists(st.text(max_size=60), min_size=1, max_size=6), st.text(max_size=120))
def test_the_proxy_stays_in_its_range(turns: list[str], response: str) -> None:
    """Whatever the conversation, the score is in [0, 1] and every component is a number."""
    verdict = coherence(turns, response)
    assert verdict.score is not None
    assert 0.0 <= verdict.score <= 1.0
    assert (verdict.outcome == "correct") == (verdict.score >= THRESHOLDS["words"])
    assert all(isinstance(value, float) for value in verdict.metrics.values())
    assert verdict == coherence(turns, response)


@pytest.mark.parametrize(
    ("response", "gate"),
    [
        ("", "empty"),
        ("I like it. " * 12, "repetition"),
        ("Sure.\nUser: thanks a lot", "role_confusion"),
        ("Do you know a good Italian restaurant near the station?", "echo"),
        ("Hi, how can I help you with your trip?", "self_echo"),
    ],
)
def test_a_gate_sets_the_proxy_to_zero(response: str, gate: str) -> None:
    """Faults that no relevance makes up for."""
    verdict = coherence(DINNER, response)
    assert verdict.score == 0.0
    assert verdict.labels[0] == gate
    assert gate in GATES


def test_a_cut_response_is_gated() -> None:
    """A response that was cut at its limit is no finished turn."""
    said = "There is Da Enzo right behind the"
    assert coherence(DINNER, said, finish="length").labels == ("truncated",)
    assert coherence(DINNER, said).score > 0


def test_relevant_beats_unrelated_beats_broken() -> None:
    """The proxy orders a fitting, an unrelated and a looping response."""
    fitting = coherence(DINNER, "Yes, the best Italian restaurant is behind the station.").score
    unrelated = coherence(DINNER, "Photosynthesis needs light.").score
    looping = coherence(DINNER, "station station station station station station").score
    assert fitting > unrelated > looping


def test_a_response_without_shared_words_is_neutral() -> None:
    """Many good responses share no word with what they answer."""
    assert coherence(["Shall we go?"], "Sounds wonderful!").score == NEUTRAL
    assert overlap("the cat", "and the dog") == 0.0


def test_heavy_repetition_without_a_loop_is_no_coherent_turn() -> None:
    """Below the threshold without a gate, the cause is repetition inside the response."""
    verdict = coherence(["Shall we go?"], "sounds good sounds good sounds fine sounds fine")
    assert verdict.outcome == "incorrect"
    assert verdict.labels == ("repetition",)
    assert verdict.score > 0


def test_contradictions_of_plain_statements_are_found() -> None:
    """Another value for what a speaker stated is a contradiction; silence is none."""
    said = [Message(role="user", content="My name is Ann. I live in Oslo.")]
    assert contradicts(said, "Your name is Bob.")
    assert contradicts(said, "You live in Rome!")
    assert not contradicts(said, "Your name is Ann, nice.")
    assert not contradicts(said, "Is your name Bob?")
    assert not contradicts(said, "My name is Bob.")
    assert claims(Message(role="user", content="What is my name?")) == {}


def test_the_later_statement_counts() -> None:
    """Who moves is not contradicted by the new address."""
    said = messages(["I live in Oslo.", "Nice.", "Sorry, I live in Rome now."])
    assert not contradicts(said, "You live in Rome.")


def test_answers_turn_the_proxy_into_recall() -> None:
    """With accepted answers the score is 0 or 1, whatever the proxy says."""
    turns = ["I like chess.", "Great.", "What do I like?"]
    assert coherence(turns, "Chess", answers=["chess"]).score == 1.0
    assert coherence(turns, "You like films about nature.", answers=["chess"]).score == 0.0
    assert coherence(turns, "Chess", answers=["chess"]).metrics["recall"] == 1.0


def test_a_distractor_inside_the_answer_does_not_count_against_it() -> None:
    """A value that is part of the accepted one is no other value."""
    turns = ["My cat is York, I live in New York.", "I see.", "Where do I live?"]
    assert coherence(turns, "In New York.", answers=["New York"], distractors=["York"]).score == 1.0


RIDE = ["Could you give me a ride home?"]
UNIT = st.floats(min_value=-1, max_value=1)


@settings(deadline=None)
@given(st.text(max_size=120), UNIT, UNIT)
def test_a_nearer_response_never_scores_less(response: str, one: float, other: float) -> None:
    """The graded score rises with relevance, stays in [0, 1], and names its measure."""
    low, high = sorted((one, other))
    less, more = (coherence(RIDE, response, near=Relevance("minilm", v)) for v in (low, high))
    assert 0.0 <= less.score <= more.score <= 1.0
    assert more.metrics["coherence_minilm"] == more.score
    assert more.details["measure"] == "minilm"
    assert (more.outcome == "correct") == (more.score >= THRESHOLDS["minilm"])


def test_words_taken_over_or_said_again_cost_a_response_its_relevance() -> None:
    """At one relevance, an answer is above a copy of the question's words and above a loop."""
    near = Relevance("minilm", 0.6)
    answer = coherence(RIDE, "Sure, hop in.", near=near)
    copied = coherence(RIDE, "A ride home could you give?", near=near)
    again = coherence(RIDE, "Hop in, hop hop, sure sure.", near=near)
    assert answer.score == 0.7
    assert answer.score > copied.score
    assert answer.score > again.score
    assert copied.labels == ("echo",)
    assert again.labels == ("repetition",)


@pytest.mark.parametrize("measure", ["minilm", "wordllama"])
def test_a_gate_is_zero_by_every_measure(measure: str) -> None:
    """However near a broken response is, it scores nothing; a far one is off topic."""
    near = Relevance(measure, 1.0)
    for response in ("", "I like it. " * 12, "Sure.\nUser: thanks", DINNER[2], DINNER[1]):
        assert coherence(DINNER, response, near=near).score == 0.0
    assert coherence(DINNER, "Yes.", finish="length", near=near).score == 0.0
    far = coherence(DINNER, "Photosynthesis needs light.", near=Relevance(measure, 0.02))
    assert far.labels == ("off_topic",)
    assert far.score > 0


def test_texts_of_any_kind_take_linear_time() -> None:
    """Hundreds of thousands of characters, other scripts and halves of characters get a verdict."""
    long = [
        "the answer is " * 4000,
        "a" * 60_000,
        "猫" * 60_000,
        "\ud800 " * 1000,
        "my my-" * 4000,
    ]
    for text in long:
        assert coherence([text], text).score == 0.0
        assert coherence([text], "Sure.").score > 0.0
        assert coherence(RIDE, text).outcome in {"correct", "incorrect"}
