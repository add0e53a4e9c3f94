"""Free-text answers: what counts as saying an accepted answer."""

import re
import string
from collections import Counter

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harness.scoring import normalize, qa, token_f1
from harness.scoring.answer_region import extract, region
from harness.scoring.response_faults import abstains, is_repetitive, seq_rep_n, visible_text
from harness.scoring.wordlists import NEGATIONS, POLAR

LETTERS = st.text(alphabet=string.ascii_letters + " .,!?-;'", max_size=60)
WORD = st.text(alphabet=string.ascii_lowercase, min_size=3, max_size=9)


def squad_normalize(text: str) -> str:
    """Normalise as the official SQuAD 1.1 script does, written from its description."""
    text = "".join(ch for ch in text.lower() if ch not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def squad_f1(gold: str, given_text: str) -> float:
    """Token F1 as the official SQuAD 1.1 script computes it."""
    one, two = squad_normalize(gold).split(), squad_normalize(given_text).split()
    shared = sum((Counter(one) & Counter(two)).values())
    if not shared:
        return 0.0
    precision, recall = shared / len(two), shared / len(one)
    return 2 * precision * recall / (precision + recall)


@settings(deadline=None)
@given(st.lists(WORD, min_size=1, max_size=8), st.lists(WORD, min_size=1, max_size=8))
def test_f1_is_squads_on_plain_words(gold: list[str], said: list[str]) -> None:
    """On words without digits our token F1 is that of SQuAD's script."""
    assume(squad_normalize(" ".join(gold)) and squad_normalize(" ".join(said)))
    ours = token_f1([" ".join(gold)], " ".join(said))
    assert ours == pytest.approx(squad_f1(" ".join(gold), " ".join(said)))


@settings(deadline=None)
@given(LETTERS)
def test_normalizing_twice_changes_nothing(text: str) -> None:
    """A normalised text is its own normal form."""
    assert normalize(normalize(text)) == normalize(text)


@settings(deadline=None)
@given(st.lists(WORD, min_size=1, max_size=4), WORD)
def test_an_accepted_answer_counts_bare_and_in_a_sentence(words: list[str], subject: str) -> None:
    """Saying an accepted answer is right in whatever case, with a full stop, in a sentence."""
    answer = " ".join(words)
    assume(not POLAR & set(words) and not abstains(answer) and not is_repetitive(answer))
    assume(not (NEGATIONS | {"or", "either"}) & {*words, subject})
    for response in (answer, answer.upper() + ".", f"The {subject} is {answer}."):
        verdict = qa(f"What is the {subject}?", ["xyzzy plugh", answer], response)
        assert verdict.score == 1.0, (response, verdict)


@settings(deadline=None)
@given(LETTERS, LETTERS, LETTERS)
def test_every_answer_gets_a_verdict(question: str, answer: str, response: str) -> None:
    """Whatever the text, there is a 0/1 verdict with a cause, or a reason for having none."""
    verdict = qa(question, [answer], response)
    if not answer.strip():
        assert verdict.outcome == "unscored"
    else:
        assert verdict.score in {0.0, 1.0}
        assert (verdict.outcome == "correct") == (verdict.score == 1.0)
        assert verdict.score == 1.0 or verdict.labels
    assert verdict.explanation


@settings(deadline=None)
@given(WORD, WORD)
def test_a_part_of_a_word_is_no_answer(answer: str, tail: str) -> None:
    """An answer counts as whole words only."""
    assume(not POLAR & {answer})
    assert qa("Which?", [answer], answer + tail).score == 0.0


@pytest.mark.parametrize(
    ("answers", "response", "right"),
    [
        (["no"], "No.", True),
        (["no"], "I have no idea what that is.", False),
        (["yes"], "Well, yes.", True),
        (["yes"], "The answer is yes.", True),
        (["yes"], "The short answer: no. Yes would be wrong.", False),
        (["maybe"], "Maybe, but the evidence is thin.", True),
        (["12"], "It was 1,200.", False),
        (["1200"], "It was 1,200.", True),
        (["3.5"], "3.50", True),
        (["$35"], "35 dollars", True),
        (["2019"], "It opened in 2019, two years after the old one.", True),
        (["Zürich"], "zürich", True),
        (["Zürich"], "zu\u0308rich", True),
        (["The Who"], "Who", True),
        (["vitamin B12"], "That would be vitamin B12.", True),
        (["Rome"], "Is it Rome? It is Paris.", False),
        (["Rome"], "It is Paris rather than Rome.", False),
        (["Rome"], "Rome is not the capital; Paris is.", False),
        (["Rome"], "I am not sure, but I think it is Rome.", True),
        (["Rome"], "\\boxed{Rome}", True),
        (["Rome"], "The answer is Paris. Wait, the answer is Rome.", True),
        (["ham and eggs"], "Ham and eggs.", True),
        (["red", "blue"], "Blue", True),
        (["J. K. Rowling"], "It was written by J. K. Rowling.", True),
        (["St. Gallen"], "You find it in St. Gallen, near the border.", True),
        (["Smith"], "Ask Mr. J. R. Smith.", True),
        (["New York"], "It lies in New\nyork.", True),
        (["Open it. Wait. Close it."], "Open it. Wait. Close it!", True),
        (["12"], "Total\n---------------------------\n12", True),
        (["東京"], "東京", True),
    ],
)
def test_borderline_answers(answers: list[str], response: str, right: bool) -> None:
    """The borderline cases that the rule was written for."""
    assert (qa("Question?", answers, response).score == 1.0) is right


def test_the_answer_region_ends_where_a_reader_would_stop() -> None:
    """The clause after the last explicit answer, or the first two statements and the last."""
    assert region("One. Two. Three. Four.") == ["One.", "Two.", "Four."]
    assert region("Who knows? One. Two.") == ["One.", "Two."]
    assert region("One. The final answer is: Four\nFive") == ["Four"]
    assert region("One. Two. Three. So it is five. Six.")[0] == "So it is five."
    assert region("Rome. Actually no, it is Paris.") == ["it is Paris."]
    assert region("One. Two. Three. Four. Let me know if you need more.")[-1] == "Four."


def test_extraction_drops_what_the_question_said() -> None:
    """An extracted answer holds what the question did not."""
    assert extract("Who looks after fire safety?", ["Fire safety is looked after by Ann."]) != ""
    assert extract("Where is the lab?", ["The lab is on the third floor."]) == "third floor"
    assert extract("Where is the lab?", ["The lab is."]) == "The lab is."


def test_hidden_reasoning_and_leaked_roles_are_not_said() -> None:
    """What a chat template or a reasoning block holds is not part of the answer."""
    assert visible_text("<think>Rome?</think> Paris") == "Paris"
    assert visible_text("Paris<|im_end|>\n<|im_start|>user\nRome") == "Paris"
    assert qa("?", ["Rome"], "Paris\nUser: Rome?").score == 0.0
    assert qa("?", ["Rome"], "<think>Rome, I would say").labels == ("format",)


def test_repetition_is_measured_on_words() -> None:
    """A text without a repeated 4-gram has seq-rep-4 0; a loop comes near 1."""
    assert seq_rep_n("a b c d e f") == 0.0
    assert seq_rep_n("a b c d " * 20) > 0.9
    assert not is_repetitive("He said that he said that.")


def test_a_cut_answer_is_wrong_but_named() -> None:
    """A response cut at its limit is judged by what is there, and labelled."""
    assert qa("?", ["Rome"], "It is Rome, the", finish="length").labels == ("truncated",)
    assert qa("?", ["Rome"], "It is Rome, the", finish="length").score == 1.0
    assert qa("?", ["Rome"], "It is the", finish="length").labels == ("truncated",)


def test_an_echo_repeats_the_question_and_not_just_a_word_of_it() -> None:
    """A wrong option that the question names is a wrong answer, not an echo."""
    question = "Is the office in Graz or in Vienna?"
    assert qa(question, ["Vienna"], "Graz").labels == ("wrong_answer",)
    assert qa(question, ["Linz"], "The office is in Graz or Vienna").labels == ("echo",)
