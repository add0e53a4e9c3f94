"""Thoughts in generation: where they end, what their limit is, and what stops an answer."""

from pathlib import Path
from typing import Any

import pytest
from support.thinking_models import HARMONY, QWEN3, TAGS, says, speaking

from harness.engine import Engine
from harness.records import BASE, ItemKey, Request, Response
from harness.suites.tokenize import Encoder
from harness.thoughts import split_thought

pytestmark = pytest.mark.model

THINKS = {**says("<pad> <think> w5 w6 w7 </think> w8 w9 w6"), "w6": "w7", "w9": "w10", "w10": "w11"}
"""Thinks three words, then goes on answering w8 w9 w10 w11."""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """Return an engine on a model that thinks before it answers."""
    return Engine.load(str(speaking(tmp_path_factory.mktemp("thinks"), THINKS)), device="cpu")


@pytest.fixture(scope="module")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """Return an engine on a model that thinks without end."""
    follows = {**says("<pad> <think> w5 w6"), "w6": "w5"}
    return Engine.load(str(speaking(tmp_path_factory.mktemp("endless"), follows)), device="cpu")


def ask(engine: Any, prompt: str = "Who?", *, padded: bool = False, **settings: Any) -> Response:
    """Return the answer to one prompt, by packed rows or by plain batches."""
    request = Request(
        kind="generate_until", item=ItemKey("s", "none", prompt, 0), index=0, context=prompt,
        continuation="", context_ids=tuple(Encoder(engine.tokenizer).encode(prompt)),
        settings={"until": [], "max_new_tokens": 8, **settings},
    )  # fmt: skip
    if padded:
        from harness.engine import padded as plain
        from harness.engine.decoding.sampling import SamplingParams
        from harness.engine.prefix.prefilled import Prompt

        params = SamplingParams.of(request.settings, request.context)
        with engine.switch.active(BASE) as active:
            batches = plain.generate(
                active.full_model, engine.tokenizer,
                [Prompt(context=request.context_ids, params=params)],
                ends=engine.ends, budget=4096, pad=0,
            )  # fmt: skip
            return next(iter(batches))[0][1]
    return next(iter(engine.answer(BASE, [request])))[0][1]


@pytest.mark.parametrize("padded", [False, True])
def test_the_answer_has_its_limit_for_itself(engine: Engine, *, padded: bool) -> None:
    """Two words of answer are two words, however long the thought before them is."""
    found = ask(engine, padded=padded, max_new_tokens=2, thinking_tokens=20)
    assert (found.text, found.finish) == ("<think> w5 w6 w7 </think> w8 w9", "length")
    assert found.tokens == 7


@pytest.mark.parametrize("padded", [False, True])
def test_without_a_limit_of_its_own_a_thought_shares_the_answers(
    engine: Engine, *, padded: bool
) -> None:
    """A suite's limit then cuts whatever was written."""
    found = ask(engine, padded=padded, max_new_tokens=6)
    assert found.text == "<think> w5 w6 w7 </think> w8"


@pytest.mark.parametrize("padded", [False, True])
def test_a_thought_ends_at_its_limit(endless: Engine, *, padded: bool) -> None:
    """Who thinks without end is cut at the limit of thoughts, and has no answer."""
    found = ask(endless, padded=padded, thinking_tokens=12)
    assert (found.finish, found.tokens) == ("length", 12)
    split = split_thought(found.text or "")
    assert (split.answer, split.closed) == ("", False)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("stop", ["w6", "</think>", "w7 </think>"])
def test_stop_strings_do_not_count_in_a_thought(engine: Engine, stop: str, *, padded: bool) -> None:
    """``w6`` and the end of a thought itself stand in the thought; the answer goes on."""
    found = ask(engine, padded=padded, until=[stop, "w10"], thinking_tokens=20)
    assert (found.text, found.finish) == ("<think> w5 w6 w7 </think> w8 w9 ", "stop")


def test_an_answer_without_a_thought_is_as_before(engine: Engine) -> None:
    """A prompt that closes the thought gets the answer alone, with its stop string and limit."""
    closed = "<|im_start|> assistant <think> </think>"
    assert ask(engine, closed, thinking_tokens=20).text == "w8 w9 w10 w11"
    assert ask(engine, closed, until=["w10"], thinking_tokens=20).text == "w8 w9 "
    assert ask(engine, closed, max_new_tokens=1, thinking_tokens=20).text == "w8"


def test_a_thought_that_the_prompt_opened_needs_no_opening(engine: Engine) -> None:
    """Only the end of the thought is written then, and stop strings wait for it."""
    found = ask(engine, "Who? <think>", until=["w6"], max_new_tokens=2, thinking_tokens=9)
    assert (found.text, found.tokens) == ("w5 w6 w7 </think> w8 w9", 6)


def test_marks_that_are_special_tokens_stay(tmp_path: Path) -> None:
    """gpt-oss' channels are special tokens: decoded without them, thought and answer were one."""
    chain = says("<pad> <|channel|> analysis <|message|> w5 w6 <|end|> <|start|> assistant")
    chain |= {"assistant": "final", "final": "<|return|>", "<|return|>": "w7"}
    marks = (*TAGS, *HARMONY, "assistant", "w60")
    folder = speaking(tmp_path, chain, marks=marks, special=True, fused=True)
    engine = Engine.load(str(folder), device="cpu")
    found = ask(engine, max_new_tokens=12)
    assert found.text == "<|channel|>analysis<|message|>w5w6<|end|><|start|>final<|return|>w7"


def test_drafts_and_batches_change_nothing(engine: Engine) -> None:
    """Another arm's answer, thought and all, is a draft like any other."""
    alone = ask(engine, until=["w11"], thinking_tokens=20)
    encoder = Encoder(engine.tokenizer)
    requests = [
        Request(
            kind="generate_until", item=ItemKey("s", "none", str(n), 0), index=0,
            context="Who?" + " w30" * n, continuation="",
            context_ids=(*encoder.encode("w30 " * n), *encoder.encode("Who?")),
            settings={"until": ["w11"], "max_new_tokens": 8, "thinking_tokens": 20},
        )
        for n in range(6)
    ]  # fmt: skip
    drafts = {r.key: ["<think> w5 w6 w7 </think> w8 w9 w9"] for r in requests}
    for given in ({}, drafts):
        batches = list(engine.answer(BASE, requests, drafts=given))
        texts = {response.text for batch in batches for _, response in batch}
        assert texts == {alone.text}


def test_templates_read_what_they_read() -> None:
    """Which arguments a template reads is found in its text."""
    from harness.models.template_options import options_read

    assert options_read(QWEN3) == {"enable_thinking"}
    text = (
        "{%- if not date_string is defined %}{%- set date_string = 'x' %}{%- endif %}"
        "{{ bos_token }}{% generation %}{{ messages[0].content }}{% endgeneration %}"
        "{{ strftime_now('%d') }}"
        "{%- set ns = namespace(a=1) %}{% for t in tools or [] %}{% break %}{% endfor %}"
    )
    assert options_read(text) == {"date_string"}
