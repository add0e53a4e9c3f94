"""Dialogues as requests: declared turns, own answers between them, and what can be asked when."""

from pathlib import Path
from typing import Any

import pytest

from harness.errors import DataError, StudyError
from harness.records import Answers, ItemKey, Request, Response, Suite
from harness.suites.dialogue_turns import (
    askable,
    check_dialogues,
    dialogue_requests,
    followed,
    in_turns,
    sent_messages,
)
from harness.suites.tokenize import Encoder, tokens_needed

SUITE = Suite(name="conversation", metric="kept", judge="conversation")
KEY = ItemKey("conversation", "none", "abc", 0)
ROW = {"system": "Be kind.", "turns": ["Hello there.", {"user": "Again?"}, "Bye."]}
SETTINGS: dict[str, Any] = {"until": [], "max_new_tokens": 8}


@pytest.fixture(scope="module")
def tokenizer(tiny_base: Path) -> Any:
    """Return the tokenizer of the tiny base, which has a chat template."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_base)


def requests(tokenizer: Any, row: Any = ROW, *, chat: bool = True) -> list[Request]:
    """Return the requests of a row."""
    return dialogue_requests(
        row, KEY, Encoder(tokenizer), template=tokenizer if chat else None, settings=SETTINGS
    )


def told(*texts: str) -> Answers:
    """Return answers to the first turns."""
    return {(KEY, n): Response(text=text, finish="stop") for n, text in enumerate(texts)}


def test_only_what_follows_known_answers_can_be_asked(tokenizer: Any) -> None:
    """The first turn at once, each later one after the answer before it, and never twice."""
    made = requests(tokenizer)
    assert [request.key for request in askable(made, {})] == [(KEY, 0)]
    [second] = askable(made, told("Hi!"))
    assert second.index == 1
    assert second.context == (
        "<|system|>Be kind.<|end|><|user|>Hello there.<|end|><|assistant|>Hi!<|end|>"
        "<|user|>Again?<|end|><|assistant|>"
    )
    assert tokenizer.decode(second.context_ids) == second.context
    assert not askable(made, told("a", "b", "c"))


def test_declared_turns_have_the_same_ids_whatever_is_said_between(tokenizer: Any) -> None:
    """Two arms that answer otherwise read the same declared ids, also without a template."""
    for chat in (True, False):
        made = requests(tokenizer, chat=chat)
        for first, second in (("Hi!", "B"), ("", "..."), ("User: no\n", "w")):
            [last] = askable(made, told(first, second))
            turn = made[2].turn
            assert turn is not None
            left = list(last.context_ids)
            for piece in turn.piece_ids:
                places = [n for n in range(len(left)) if tuple(left[n : n + len(piece)]) == piece]
                assert places, (chat, first)
                left = left[places[0] + len(piece) :]
            assert not left


def test_a_plain_transcript_ends_where_the_user_would_speak(tokenizer: Any) -> None:
    """Without a chat template answers follow ``Assistant:`` and stop at the user's next turn."""
    made = requests(tokenizer, chat=False)
    assert made[0].settings["until"] == ["\nUser:"]
    [second] = askable(made, told(" Hi! \n"))
    assert second.context.endswith("Assistant: Hi!\nUser: Again?\nAssistant:")


def test_hidden_thoughts_are_not_heard_again(tokenizer: Any) -> None:
    """Later turns hear what a reader would have seen."""
    [second] = askable(requests(tokenizer), told("<think>hm</think>Hi!"))
    assert "hm" not in second.context
    assert "Hi!" in second.context


def test_a_turn_after_one_that_could_not_be_had_is_unscored(tokenizer: Any) -> None:
    """Nothing is asked on top of a missing answer, and the reason stays."""
    known: Answers = {(KEY, 0): Response(unscored="out of memory")}
    assert not askable(requests(tokenizer), known)
    assert known[KEY, 2].unscored == "out of memory (of an earlier turn)"


def test_stored_answers_are_followed_as_far_as_they_go(tokenizer: Any) -> None:
    """A resumed dialogue goes on where it was left, on its own words."""
    stored = {0: "Hi!", 1: "Yes."}
    seen = []

    def look_up(asked: Any) -> Answers:
        seen.extend(request.context for request in asked)
        return {
            request.key: Response(text=stored[request.index])
            for request in asked
            if request.index in stored
        }

    known: Answers = {}
    [left] = followed(requests(tokenizer), known, look_up)
    assert left.index == 2
    assert left.turn is not None
    assert left.turn.said == ("Hi!", "Yes.")
    assert set(known) == {(KEY, 0), (KEY, 1)}


def test_all_turns_fit_a_context_or_none(tokenizer: Any) -> None:
    """What a turn needs is what the whole dialogue may take, whatever an arm says before."""
    made = requests(tokenizer)
    needed = {tokens_needed(request) for request in made}
    assert needed == {len(made[2].context_ids) + 3 * 8}
    [second] = askable(made, told("Hi!"))
    assert tokens_needed(second) in needed


def test_answers_come_back_for_every_turn(tokenizer: Any) -> None:
    """Round by round, each answer is part of the next prompt."""
    answers = in_turns(
        requests(tokenizer),
        lambda asked: {r.key: Response(text=f"turn {r.index}") for r in asked},
    )
    assert [answers[KEY, n].text for n in range(3)] == ["turn 0", "turn 1", "turn 2"]


def test_a_template_without_system_prompts_shows_it_in_the_first_turn(tokenizer: Any) -> None:
    """A rule of the system prompt is never dropped without a word."""
    from copy import copy

    gemma = copy(tokenizer)
    gemma.chat_template = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        "{% for m in messages %}<|{{ m.role }}|> {{ m.content | trim }}<|end|>{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>{% endif %}"
    )
    made = requests(gemma)
    assert made[0].context == "<|user|> Be kind.\n\nHello there.<|end|><|assistant|>"
    [second] = askable(made, told("Hi!"))
    assert "<|assistant|> Hi!<|end|>" in second.context


def test_a_template_that_hides_earlier_answers_is_refused(tokenizer: Any) -> None:
    """A dialogue in which the model cannot hear itself is none."""
    from copy import copy

    deaf = copy(tokenizer)
    deaf.chat_template = "{{ messages[-1].content }}<|assistant|>"
    with pytest.raises(StudyError, match="shows 0 of 1"):
        requests(deaf, {"turns": ["a", "b"]})


def test_an_endpoint_is_sent_messages_with_places_for_own_answers() -> None:
    """System prompt and user turns are declared; what the model said is filled in later."""
    sent = sent_messages(ROW, 1)
    assert [message["role"] for message in sent] == ["system", "user", "assistant", "user"]
    assert sent[2]["content"] is None


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({}, "'turns' must be a list"),
        ({"turns": ["a", ""]}, "turn 2 must say something"),
        ({"turns": ["a"], "system": 3}, "'system' must be text"),
        ({"turns": [{"usr": "a"}]}, "the text 'user'"),
        ({"turns": [{"user": "a", "probe": []}]}, "did you mean 'probes'"),
        ({"turns": [{"user": "a", "probes": [{"kind": "memry", "says": ["b"]}]}]}, "memory"),
        ({"turns": [{"user": "a", "probes": [{"kind": "memory"}]}]}, "checks nothing"),
        ({"turns": [{"user": "a", "probes": [{"kind": "memory", "say": ["b"]}]}]}, "'says'"),
        (
            {"turns": [{"user": "a", "probes": [{"kind": "twice", "agrees_with": 1}]}]},
            "'agrees_with' and 'among' together",
        ),
        (
            {
                "turns": [
                    {"user": "a", "probes": [{"kind": "twice", "agrees_with": 1, "among": ["b"]}]}
                ]
            },
            "an earlier turn",
        ),
        (
            {"turns": [{"user": "a", "probes": [{"kind": "style", "max_words": 0}]}]},
            "a whole number from 1",
        ),
    ],
)
def test_a_row_that_is_no_dialogue_is_named(row: Any, said: str) -> None:
    """Row and remedy stand in one sentence."""
    with pytest.raises(DataError, match=said) as caught:
        check_dialogues(SUITE, [{"turns": ["fine"]}, row], truncated=False)
    assert "row 2" in str(caught.value)


def test_a_dialogue_is_not_truncated() -> None:
    """Cut on the left it would be another dialogue for each arm."""
    with pytest.raises(StudyError, match="shown whole"):
        check_dialogues(SUITE, [{"turns": ["fine"]}], truncated=True)
