"""Texts by vLLM: proven before they count, equal to our own engine's, refused where they are not.

A stand-in answers behind vLLM's own interface, right or wrong in the ways that were seen;
``tests/bench/vllm.py`` holds the real one to the same.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from support.paths import ROOT
from support.tiny_models import answers, llama, lora, prompt, question

from harness.engine import Engine
from harness.engine.runtimes.generating_arms import GeneratingArms
from harness.engine.runtimes.proofs import PROBES, probes_of
from harness.engine.runtimes.vllm_engine import open_vllm
from harness.errors import ModelError
from harness.models.fingerprint import vllm_fingerprint
from harness.records import BASE, Request
from harness.study import BaseSection

pytestmark = pytest.mark.model

STAND_IN = ROOT / "tests" / "support" / "stand_in"


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Import the stand-in under vLLM's name."""
    monkeypatch.syspath_prepend(STAND_IN)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "vllm"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a base and two adapters on it."""
    home = tmp_path_factory.mktemp("vllm")
    base = llama(home / "base", num_hidden_layers=1)
    return {
        "base": base,
        "one": lora(base, home / "one", seed=1),
        "two": lora(base, home / "two", seed=2, r=24),
    }


@pytest.fixture(scope="module")
def ours(folders: dict[str, Path]) -> Engine:
    """Return our own engine with the same arms."""
    engine = Engine.load(str(folders["base"]), device="cpu")
    for name in ("one", "two"):
        engine.attach(name, folders[name])
    return engine


TEXTS = [prompt(n, (1, *range(3 + n, 9 + 2 * n)), max_new_tokens=3 + n % 4) for n in range(18)]
CHOICES = [question(100 + n, (1, 5, 6 + n), (7, 8), index=n) for n in range(6)]


def open_arms(folders: dict[str, Path], ours: Engine, **changes: object) -> GeneratingArms:
    """Return what answers a study with ``backend: vllm``, its candidates attached."""
    base = BaseSection.model_validate(
        {"model": str(folders["base"]), "backend": "vllm", "model_args": changes}
    )
    marks = {arm: vllm_fingerprint(base, ours.fingerprint(arm)) for arm in (BASE, "one", "two")}
    arms = open_vllm(base, base.model, marks, suites=[])
    arms.planned = [*TEXTS, *CHOICES]
    for name in ("one", "two"):
        arms.attach(name, folders[name])
    return arms


def said(arms: GeneratingArms, requests: Sequence[Request]) -> dict[str, list[str | None]]:
    """Return every arm's texts, all asked at once."""
    found: dict[str, dict[object, str | None]] = {arm: {} for arm in (BASE, "one", "two")}
    for batch in arms.answer_arms(dict.fromkeys(found, requests)):
        for arm, request, response in batch:
            found[arm][request.key] = response.text
    return {arm: [texts[one.key] for one in requests] for arm, texts in found.items()}


def expected(ours: Engine, requests: Sequence[Request]) -> dict[str, list[str | None]]:
    """Return the same of our own engine."""
    return {
        arm: [response.text for response in answers(ours, arm, list(requests))]
        for arm in (BASE, "one", "two")
    }


def test_texts_are_those_of_our_own_engine(folders: dict[str, Path], ours: Engine) -> None:
    """Arms answer in mixed batches, and each text is what transformers gives, blank for blank."""
    arms = open_arms(folders, ours)
    assert said(arms, TEXTS) == expected(ours, TEXTS)
    assert "in one batch" not in arms.notes[0]
    assert "16 prompts per arm" in arms.notes[0]


def test_log_likelihoods_are_our_own(folders: dict[str, Path], ours: Engine) -> None:
    """They never reach vLLM, whose engine is not even started for them."""
    arms = open_arms(folders, ours)
    for arm in (BASE, "one"):
        mine = [one.logprob for one in answers(arms, arm, CHOICES)]
        assert mine == pytest.approx([one.logprob for one in answers(ours, arm, CHOICES)])
    assert "vllm" not in sys.modules


def test_answers_are_kept_apart_from_our_own(folders: dict[str, Path], ours: Engine) -> None:
    """Another engine, release or setting is another fingerprint; what it may use is not."""
    arms = open_arms(folders, ours)
    assert arms.fingerprint("one") != ours.fingerprint("one")
    frugal = open_arms(folders, ours, gpu_memory_utilization=0.5)
    assert frugal.fingerprint("one") == arms.fingerprint("one")
    assert open_arms(folders, ours, max_model_len=64).fingerprint("one") != arms.fingerprint("one")


def test_a_base_that_answers_as_an_adapter_in_mixed_batches(
    folders: dict[str, Path], ours: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proofs find it, and arms are asked one after another: every text is right."""
    monkeypatch.setenv("STAND_IN_FAULT", "last_slot")
    arms = open_arms(folders, ours)
    assert said(arms, TEXTS) == expected(ours, TEXTS)
    assert "asked arm by arm (in one batch it answered wrongly: base 16 of 16)" in arms.notes[0]


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("sticky", "must answer for an arm as before others were asked: 'base' does not"),
        ("ignores_adapters", "must answer as transformers does on the same weights: of 16 short"),
        ("other_weights", "must answer as transformers does on the same weights: of 16 short"),
        ("dies", "vLLM stopped: EngineCore encountered an issue"),
        ("loses", "vLLM lost"),
    ],
)
def test_an_engine_that_answers_wrongly_is_refused(
    folders: dict[str, Path],
    ours: Engine,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    sentence: str,
) -> None:
    """Not one text of it is handed out."""
    monkeypatch.setenv("STAND_IN_FAULT", fault)
    arms = open_arms(folders, ours)
    with pytest.raises(ModelError, match=sentence):
        next(arms.answer_arms({BASE: TEXTS, "one": TEXTS}))


def test_weights_without_room_here_are_proven_by_vllm_alone(
    folders: dict[str, Path], ours: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arms are then asked one after another, candidates have to differ, and it is said."""

    def no_room(_folders: object) -> Engine:
        raise MemoryError

    arms = open_arms(folders, ours)
    arms.open_own, arms._own = no_room, None
    assert said(arms, TEXTS) == expected(ours, TEXTS)
    assert (
        "arm by arm: proven on 16 prompts per arm, not held against transformers" in arms.notes[0]
    )
    with pytest.raises(ModelError, match="the weights have no room"):
        answers(arms, BASE, CHOICES)
    monkeypatch.setenv("STAND_IN_FAULT", "ignores_adapters")
    arms = open_arms(folders, ours)
    arms.open_own, arms._own = no_room, None
    with pytest.raises(ModelError, match="a candidate must differ from the base"):
        said(arms, TEXTS)


def test_stop_strings_end_a_text_where_our_decoder_shows_them(
    folders: dict[str, Path], ours: Engine
) -> None:
    """Where an engine's detokenizer keeps a leading blank and stops too early, it has to go on."""
    words = [(one.text or "").split() for one in answers(ours, BASE, TEXTS)]
    stops = {n: (f" {found[0]}", found[-1]) for n, found in enumerate(words) if found}
    requests = [
        prompt(100 * n + place, TEXTS[n].context_ids, until=[stop], max_new_tokens=6)
        for n, both in stops.items()
        for place, stop in enumerate(both)
    ]
    arms = open_arms(folders, ours)
    assert said(arms, requests) == expected(ours, requests)


def test_drawn_texts_repeat_and_repeats_differ(folders: dict[str, Path], ours: Engine) -> None:
    """Each sample of an item has a seed of its own, the same in every run."""
    drawn = {"do_sample": True, "temperature": 1.0, "seed": 3}
    requests = [prompt(n, (1, 7, 9), repeat=n, **drawn) for n in range(4)]
    found = said(open_arms(folders, ours), requests)
    assert found == said(open_arms(folders, ours), requests)
    assert len(set(found[BASE])) == 4


def test_what_does_not_fit_is_unscored(folders: dict[str, Path], ours: Engine) -> None:
    """A max_model_len in model_args counts before vLLM is asked, which would stop."""
    long = prompt(900, tuple(range(3, 90)))
    (found,) = answers(open_arms(folders, ours, max_model_len=64), BASE, [long])
    assert found.unscored == "too long: 99 tokens where 64 fit the context"


def test_an_interrupted_stream_leaves_nothing_behind(
    folders: dict[str, Path], ours: Engine
) -> None:
    """Who stops listening and asks again gets the answers to what is asked now."""
    arms = open_arms(folders, ours)
    next(arms.answer_arms({BASE: TEXTS}))
    assert said(arms, TEXTS) == expected(ours, TEXTS)


def test_an_unknown_engine_argument_is_named(folders: dict[str, Path], ours: Engine) -> None:
    """With the nearest known one, before anything is loaded."""
    arms = open_arms(folders, ours, max_model_length=64)
    with pytest.raises(ModelError, match=r"no engine argument 'max_model_length'.*'max_model_len'"):
        answers(arms, BASE, TEXTS)


def test_probes_are_the_same_for_the_same_study() -> None:
    """Every prompt once, whatever the order of the requests; one that does not fit is no probe."""
    twice = [*TEXTS, *(prompt(700 + n, one.context_ids) for n, one in enumerate(TEXTS))]
    found = probes_of(twice, 1000)
    assert len({one.context_ids for one in found}) == len(found) == PROBES
    assert [one.key for one in probes_of(twice[::-1], 1000)] == [one.key for one in found]
    assert all(len(one.context_ids) < 20 for one in probes_of(twice, 20))
