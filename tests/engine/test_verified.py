"""Verified bf16: float32's verdicts on thousands of items, with float32 asked only where needed."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.tiny_models import answers, llama, lora, prompt, question, random_tree

from harness import content
from harness.engine import Engine, LoadedSuite, VerifiedEngine, load_suite
from harness.engine.open import load_engine, open_engine
from harness.engine.prefix.prefill import Runner
from harness.engine.verified import calibration, margins, probes
from harness.engine.verified.decided import is_decided_by_best
from harness.errors import ModelError, StudyError
from harness.models.hardware import has_bf16
from harness.models.scoring_dtype import DeviceFacts
from harness.records import BASE, Request, Response
from harness.store import AnswerStore
from harness.study import VERIFIED, BaseSection, SuiteSection, load

pytestmark = pytest.mark.model
TINY = content.BUILTIN_MODELS["tiny"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """Return the built-in base in float32 with a random adapter ``tuned``."""
    engine = Engine.load(str(TINY), device="cpu")
    engine.attach(
        "tuned", lora(TINY, tmp_path_factory.mktemp("verified") / "tuned", r=2, lora_alpha=2)
    )
    return engine


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small Llama whose logits are far apart."""
    return llama(tmp_path_factory.mktemp("verified") / "base")


def suite(engine: Engine, name: str, **changes: Any) -> LoadedSuite:
    """Return a built-in suite as the engine sees it."""
    return load_suite(
        SuiteSection(name=name, **changes), engine_tokenizer=engine.tokenizer, template="auto",
        seed=0, folder=Path(),
    )  # fmt: skip


def as_if_asked(engine: Any, *arms: str) -> None:
    """Let an engine have been asked so much before that the smallest probe pays."""
    for arm in arms:
        for kind, items, tokens in (("choices", 4000, 40_000), ("texts", 240, 4000)):
            engine.asked.items[arm, kind], engine.asked.tokens[arm, kind] = items, tokens


def answered(engine: Any, arm: str, requests: Sequence[Request]) -> dict[Any, Response]:
    """Return an arm's answers by item and index."""
    return {r.key: a for batch in engine.answer(arm, requests) for r, a in batch}


@pytest.mark.parametrize("limit", [160, pytest.param(None, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("arm", [BASE, "tuned"])
def test_choices_have_float32_s_verdicts(tiny: Engine, arm: str, limit: int | None) -> None:
    """Most questions, at night of 1,761, are answered in bf16 alone; no item's accuracy differs."""
    splits = ("test", "validation")
    both = [suite(tiny, "arc_mini", split=split, limit=limit) for split in splits]
    engine = VerifiedEngine(tiny, [request for loaded in both for request in loaded.requests])
    for loaded in both:
        truth = loaded.samples(arm, answered(tiny, arm, loaded.requests))
        found = loaded.samples(arm, answered(engine, arm, loaded.requests))
        for ours, theirs in zip(found, truth, strict=True):
            for metric in ("acc", "acc_norm"):
                assert ours.verdict.metrics[metric] == theirs.verdict.metrics[metric]
            assert ours.verdict.answer == theirs.verdict.answer
    assert 0 < engine.rechecked < engine.accepted
    assert engine.largest_error[arm] < engine.bounds[arm, "choices"].value


@pytest.mark.parametrize("kind", ["choices", "texts"])
def test_a_probe_costs_at_most_a_tenth_of_the_work(
    base: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Every token of every forward pass is counted: of the work in float32, of the probe in both.

    The texts of a probe are written like any other, before they are read again.
    """
    read: Counter[str] = Counter()
    what = ["work"]
    forward, scored = Runner.forward, calibration.scored_answers

    def counted(self: Runner, ids: torch.Tensor, *more: Any) -> torch.Tensor:
        read[what[-1]] += ids.numel()
        return forward(self, ids, *more)

    def probing(engine: Engine, asked: Any) -> Any:
        first = asked[BASE][0]
        is_written = first.kind == "generate_until" and first.item.suite != "probe"
        what.append("written" if is_written else "probe")
        found = scored(engine, asked)
        what.pop()
        return found

    monkeypatch.setattr(Runner, "forward", counted)
    monkeypatch.setattr(calibration, "scored_answers", probing)
    draw = random.Random(0)
    contexts = [tuple(draw.randrange(3, 90) for _ in range(20)) for _ in range(240)]
    asked = [prompt(n, ids, max_new_tokens=16) for n, ids in enumerate(contexts)]
    if kind == "choices":
        asked = [
            question(n, ids, (50 + c, 51), index=c)
            for n, ids in enumerate(contexts)
            for c in (0, 1)
        ]
    float32 = Engine.load(str(base), device="cpu")
    answers(float32, BASE, asked)
    work = read["work"]
    engine = VerifiedEngine(float32, asked)
    answers(engine, BASE, asked)
    assert 0 < read["probe"] <= 0.1 * work
    assert engine.bounds[BASE, kind].probed >= probes.MIN_PROBE
    few = VerifiedEngine(float32, asked)
    answers(few, BASE, asked[:60])
    assert not few.bounds
    assert few._bf16_engine is None
    assert any("answered in float32 alone: a probe of bf16 would cost" in n for n in few.notes)


def test_without_room_for_a_second_copy_float32_answers_alone(tiny: Engine) -> None:
    """What fits in float32 does not fail by being verified; a note says why it is no faster."""
    requests = suite(tiny, "arc_mini", limit=4).requests
    engine = VerifiedEngine(tiny, requests, free=lambda _: 1000)
    assert answers(engine, BASE, list(requests)) == answers(tiny, BASE, list(requests))
    assert not engine.asked.items
    assert any("no room for a second copy of the weights" in note for note in engine.notes)


def test_texts_are_float32_s(tiny: Engine) -> None:
    """Whether a text stands, is asked again, or is left to float32: it is float32's."""
    requests = suite(tiny, "sql", limit=100).requests
    truth = [one.text for one in answers(tiny, BASE, list(requests))]
    careful = VerifiedEngine(tiny, requests)
    as_if_asked(careful, BASE)
    assert [one.text for one in answers(careful, BASE, list(requests))] == truth
    bound = careful.bounds[BASE, "texts"]
    assert (careful.accepted == 0) == (not bound.is_worth_it)
    eager = VerifiedEngine(tiny, requests)
    eager.bounds[BASE, "texts"] = replace(bound, clear=bound.probed)
    assert [one.text for one in answers(eager, BASE, list(requests))] == truth
    assert eager.accepted > 0 < eager.rechecked


def test_arms_asked_together_have_float32_s_answers(tiny: Engine) -> None:
    """Both arms' choices and texts come from shared passes, and a probe's from no other prompt."""
    choices, written = suite(tiny, "arc_mini", limit=20), suite(tiny, "sql", limit=9)
    asked = [*choices.requests, *written.requests[:8]]
    engine = VerifiedEngine(tiny, asked)
    as_if_asked(engine, BASE, "tuned")
    found: dict[str, dict[Any, Response]] = {BASE: {}, "tuned": {}}
    for batch in engine.answer_arms(dict.fromkeys(found, asked)):
        for arm, request, response in batch:
            found[arm][request.key] = response
    for arm, answers_of in found.items():
        truth = answered(tiny, arm, asked)
        assert answers_of.keys() == truth.keys()
        assert all(answers_of[r.key].text == truth[r.key].text for r in written.requests[:8])
        ours, theirs = choices.samples(arm, answers_of), choices.samples(arm, truth)
        assert [one.verdict.answer for one in ours] == [one.verdict.answer for one in theirs]
        assert (arm, "choices") in engine.bounds
        engine.bounds[arm, "texts"] = calibration.ErrorBound(0.5, 8, 8)
    other = replace(written.requests[8], item=written.requests[0].item)
    assert answers(engine, "tuned", [other])[0].text == answers(tiny, "tuned", [other])[0].text


def test_what_is_scored_by_numbers_is_float32_s_number(base: Path) -> None:
    """Single and rolling log-likelihoods, samples, and suites by another metric are not rounded."""
    exact = Engine.load(str(base), device="cpu")
    ids = tuple(range(20, 40))
    single = [question(n, ids[: n + 2], (50, 60)) for n in range(4)]
    rolling = [replace(question(9, ids, ()), kind="loglikelihood_rolling", continuation="")]
    contexts = [question(10, ids[: n + 2], (50,), index=n) for n in range(2)]
    sampled = [prompt(11, ids, do_sample=True, temperature=2.0, seed=3)]
    choices = [question(12, ids, (n + 60, n + 70), index=n) for n in range(3)]
    asked = [*single, *rolling, *contexts, *sampled, *choices]
    engine = VerifiedEngine(exact, asked, numeric_suites=["suite"])
    assert answers(engine, BASE, asked) == answers(exact, BASE, asked)
    engine = VerifiedEngine(exact)
    assert answers(engine, BASE, asked[:-3]) == answers(exact, BASE, asked[:-3])
    assert not engine.bounds


def test_an_item_that_shares_a_choice_with_another_question_is_float32_s(base: Path) -> None:
    """A store has one answer to a request, so its two owners must not want it in two precisions."""
    first = [question(1, (1, 20), (30 + n,), index=n) for n in range(3)]
    second = [question(2, (1, 20), (32 + n,), index=n) for n in range(3)]
    twin = [question(3, (1, 21), (30 + n,), index=n) for n in range(3)]
    again = [question(4, (1, 21), (30 + n,), index=n) for n in range(3)]
    items = margins.by_item([*first, *second, *twin, *again])
    assert margins.items_sharing_requests(items) == {first[0].item, second[0].item}


def test_verdicts_do_not_depend_on_what_was_answered_before(tiny: Engine, tmp_path: Path) -> None:
    """A run that is killed and goes on, each time with bounds of its own, has float32's verdicts.

    It is killed between two choices of an item, too, which is then answered whole.
    """
    requests = suite(tiny, "arc_mini", limit=150).requests
    store = AnswerStore(tmp_path / "answers.db")
    mark = VerifiedEngine(tiny, requests).fingerprint(BASE)
    calibrated = 0
    for part in (requests[:201], requests[::-1][:99], requests):
        known = store.get(mark, requests)
        engine = VerifiedEngine(tiny, requests)
        as_if_asked(engine, BASE)
        for batch in engine.answer(BASE, [r for r in part if r.key not in known]):
            store.put(mark, batch)
        calibrated += bool(engine.bounds)
    assert calibrated
    stored = store.get(mark, requests)
    assert len(stored) == len(requests)
    truth = answered(tiny, BASE, requests)
    for group in margins.by_item(requests).values():
        best = [max(group, key=lambda r, of=of: of[r.key].logprob).index for of in (truth, stored)]
        assert len(set(best)) == 1


def test_its_answers_are_not_taken_for_float32_s(base: Path) -> None:
    """The store keeps them apart from those of either precision, and of other float32 suites."""
    exact = Engine.load(str(base), device="cpu")
    half = Engine.load(str(base), device="cpu", dtype="bfloat16")
    engines = [exact, half, VerifiedEngine(exact), VerifiedEngine(exact, numeric_suites=["suite"])]
    assert len({engine.fingerprint(BASE) for engine in engines}) == 4


def test_adapters_are_attached_to_both(base: Path, tmp_path: Path) -> None:
    """Before or after the bf16 copy is loaded, and one that float32 refuses is attached nowhere."""
    exact = Engine.load(str(base), device="cpu")
    engine = VerifiedEngine(exact)
    as_if_asked(engine, BASE, "early", "late")
    asked = [r for r in random_tree(3, stems=8) if r.index < 3]
    engine.attach("early", lora(base, tmp_path / "early"))
    answers(engine, "early", asked)
    engine.attach("late", lora(base, tmp_path / "late", seed=2))
    for arm in (BASE, "early", "late"):
        found, truth = answers(engine, arm, asked), answers(exact, arm, asked)
        assert [r.logprob for r in found] == pytest.approx([r.logprob for r in truth], abs=1.0)
    with pytest.raises(ModelError, match="changes nothing"):
        engine.attach("idle", lora(base, tmp_path / "idle", trained=False))
    assert engine.max_length == exact.max_length
    assert engine._bf16_engine is not None
    assert any("in the probe exceed" in note for note in engine.notes if note.startswith("early:"))


def test_without_bf16_instructions_it_is_float32_and_says_so(base: Path) -> None:
    """A processor that only emulates bf16 would be slower, so the engine is float32's own."""
    section = BaseSection(model=str(base), dtype=VERIFIED, device="cpu")
    plain = DeviceFacts("cpu", "cpu", has_bf16=False)
    engine = open_engine(section, str(base), device=plain)
    exact = Engine.load(str(base), device="cpu")
    assert isinstance(engine, Engine)
    assert engine.fingerprint(BASE) == exact.fingerprint(BASE)
    assert any("scored in float32 (dtype bfloat16_verified): no bf16" in n for n in engine.notes)


def test_with_bf16_instructions_the_study_s_base_opens_it(tiny: Engine) -> None:
    """The suites say what is asked, and which of them are scored by numbers."""
    if not has_bf16(torch.device("cpu")):
        pytest.skip("this processor has no bf16 instructions")
    loaded = suite(tiny, "arc_mini", limit=8)
    numeric = replace(loaded, suite=replace(loaded.suite, metric="brier_score"))
    section = BaseSection(model="builtin:tiny", dtype=VERIFIED, device="cpu")
    for one, names in ((loaded, []), (numeric, ["arc_mini"])):
        engine = open_engine(section, str(TINY), suites=[one])
        assert isinstance(engine, VerifiedEngine)
        assert engine.numeric_suites == names
        assert len(engine.planned) == len(loaded.requests)


def test_lm_eval_gets_the_same_best_choices(tiny: Engine) -> None:
    """Its requests are put back together by row, so that a row is decided as a whole."""
    from harness.engine.lm_eval_model import HarnessLM

    loaded = suite(tiny, "arc_mini", limit=150)
    asked = [instance for group in loaded.instances for instance in group]
    model = HarnessLM(str(TINY), dtype=VERIFIED, device="cpu")
    if isinstance(model.engine, VerifiedEngine):
        as_if_asked(model.engine, BASE)
    found = [logprob for logprob, _ in model.loglikelihood(asked)]
    truth = [response.logprob or 0.0 for response in answers(tiny, BASE, list(loaded.requests))]
    for start in range(0, len(asked), 4):
        ours, theirs = found[start : start + 4], truth[start : start + 4]
        assert ours.index(max(ours)) == theirs.index(max(theirs))
    if isinstance(model.engine, VerifiedEngine):
        assert model.engine.accepted > 0
        assert model.loglikelihood(asked[::-1])[::-1][:4] == model.loglikelihood(asked)[:4]


def test_quantized_weights_refuse_it(base: Path, tmp_path: Path) -> None:
    """There is no float32 of them; both the study and the engine say so in a sentence."""
    with pytest.raises(ModelError, match="not quantized: found quantization '4bit'; use"):
        load_engine(str(base), dtype=VERIFIED, device="cpu", quantization="4bit")
    path = tmp_path / "study.yaml"
    path.write_text(
        f"name: a\nbase: {{model: {base}, dtype: {VERIFIED}, quantization: 8bit}}\n"
        "candidates: [{name: b, adapter: c}]\nsuites: [sql]\n"
    )
    with pytest.raises(StudyError, match="not quantized: found quantization '8bit'; use"):
        load(path)


def test_only_best_choices_and_texts_are_decided_by_best(tiny: Engine) -> None:
    """Another metric, a judge of log-likelihoods, or other lengths than the choices' are not."""
    choice = suite(tiny, "arc_mini", limit=5)
    assert is_decided_by_best(choice)
    assert is_decided_by_best(suite(tiny, "sql", limit=5))
    for metric in ("brier_score", "exact_match", "acc_mutual_info"):
        assert not is_decided_by_best(replace(choice, suite=replace(choice.suite, metric=metric)))
    assert not is_decided_by_best(replace(choice, suite=replace(choice.suite, judge="choice")))
    other = tuple(replace(r, continuation=f"= {r.continuation}") for r in choice.requests)
    assert not is_decided_by_best(replace(choice, requests=other))


def test_a_probe_is_drawn_from_every_suite() -> None:
    """Whatever the order, and as evenly as the suites' sizes allow."""
    asked = [question(n, (1, 20), (30,)) for n in range(90)]
    few = [replace(r, item=r.item._replace(suite="few")) for r in asked[:10]]
    drawn = probes.draw_probe(margins.by_item([*asked, *few]), 40)
    again = probes.draw_probe(margins.by_item([*few, *asked[::-1]]), 40)
    assert drawn == again
    assert sum(group[0].item.suite == "few" for group in drawn) == 10
    assert len(drawn) == 40


numbers = st.floats(-80, 0, allow_nan=False)
choices = st.lists(
    st.tuples(numbers, numbers, st.integers(1, 9), st.text(min_size=1, max_size=9)),
    min_size=2, max_size=5,
)  # fmt: skip


@given(choices)
def test_a_margin_beyond_the_error_cannot_flip(drawn: list[tuple[float, float, int, str]]) -> None:
    """If bf16's best wins by more than its error, float32's is the same by every accuracy."""
    group = [
        replace(question(0, (1,), (5,) * tokens, index=i), continuation=f" {text}")
        for i, (_, _, tokens, text) in enumerate(drawn)
    ]
    found, truth = (
        {r.key: Response(logprob=one[side]) for r, one in zip(group, drawn, strict=True)}
        for side in (0, 1)
    )
    if not margins.choice_margin(group, found) > margins.margin_error(group, found, truth) + 1e-9:
        return
    for of in (lambda _: 1, len, lambda text: len(text.encode())):
        bf16, float32 = (
            [one[side] / max(1, of(one[3].strip())) for one in drawn] for side in (0, 1)
        )
        assert bf16.index(max(bf16)) == float32.index(max(float32))
