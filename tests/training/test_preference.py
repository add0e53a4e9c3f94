"""Learning from chosen and rejected answers: DPO, ORPO and KTO through TRL."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.trainings import encoded, train_on

from harness.errors import DataError, ModelError
from harness.records import Arm, Example, LossPoint, Message
from harness.study import BaseSection, CandidateSection
from harness.training import DataCard, RowTokenizer, marked

pytestmark = pytest.mark.model

OBJECTIVES = ["dpo", "orpo", "kto"]


def pairs(count: int = 24) -> list[Example]:
    """Return questions with a short answer that is wanted and a long one that is not."""
    return [
        Example(
            prompt=(Message(role="user", content=f"what is {i}?"),),
            completion=(Message(role="assistant", content=f"it is {i * 7 % 13}"),),
            rejected=(Message(role="assistant", content=f"who knows what {i} may be"),),
            origin=f"pairs.jsonl:{i + 1}",
        )
        for i in range(count)
    ]


def run(tiny_base: Path, out: Path, objective: str, **fields: Any) -> Arm:
    """Train a candidate on pairs."""
    training = {"max_steps": 6, "learning_rate": 0.01, "warmup_steps": 0}
    training |= fields.pop("training", {})
    progress = fields.pop("on_progress", None)
    data = fields.pop("data", pairs())
    candidate = CandidateSection(
        name="mine", train="pairs.jsonl", objective=objective, training=training, **fields
    )
    return train_on(candidate, data, model=str(tiny_base), out=out, on_progress=progress)


def margin(model: Any, tiny_base: Path) -> float:
    """Return by how much a model prefers the chosen answers, in nats a token."""
    import torch
    from transformers import AutoTokenizer

    from harness.training.rows.encode import encode

    tokenizer = AutoTokenizer.from_pretrained(tiny_base)
    total = 0.0
    for row in encode(pairs(), tokenizer, chat=True):
        cut = row.prompt_length
        for sign, answer in ((1, row.input_ids[cut:]), (-1, row.rejected)):
            ids = torch.tensor([(row.input_ids[:cut] + answer).tolist()])
            with torch.no_grad():
                scores = model(input_ids=ids).logits[0, :-1].log_softmax(-1)
            total += sign * float(scores.gather(1, ids[0, 1:, None])[cut - 1 :].mean())
    return total / len(pairs())


@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_chosen_answers_become_likelier_than_rejected_ones(
    tiny_base: Path, tmp_path: Path, objective: str, method: str
) -> None:
    """What is saved prefers the chosen answers more than the base does."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    step = {"learning_rate": 0.01 if method == "lora" else 0.002}
    arm = run(tiny_base, tmp_path / "mine", objective, method=method, training=step)
    start = {"dpo": math.log(2), "kto": 0.5}  # both answers as likely as under the reference
    if objective in start:
        assert arm.loss[0].loss == pytest.approx(start[objective], abs=1e-3)
    assert arm.loss[-1].loss < arm.loss[0].loss
    assert arm.settings["objective"] == objective
    base = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    before = margin(base, tiny_base)
    path = arm.path or ""
    if method == "full":
        tuned = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    else:
        tuned = PeftModel.from_pretrained(base, path)
    assert margin(tuned.eval(), tiny_base) > before + 0.05


def test_kto_learns_from_answers_that_are_judged_alone(tiny_base: Path, tmp_path: Path) -> None:
    """Rows with a ``label`` are learnt as the two answers of a pair are."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    judged = [
        replace(pair, completion=said, rejected=None, desirable=good)
        for pair in pairs()
        for said, good in ((pair.completion, True), (pair.rejected or "", False))
    ]
    arm = run(tiny_base, tmp_path / "mine", "kto", data=judged)
    assert arm.loss[0].loss == pytest.approx(0.5, abs=1e-3)
    base = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    before = margin(base, tiny_base)
    assert margin(PeftModel.from_pretrained(base, arm.path or "").eval(), tiny_base) > before + 0.05


@pytest.mark.parametrize(
    "objective",
    ["dpo", *(pytest.param(name, marks=pytest.mark.nightly) for name in ("orpo", "kto"))],
)
def test_an_interrupted_training_goes_on(
    tiny_base: Path, tmp_path: Path, objective: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped half-way and started again, it ends as if undisturbed."""
    from harness.training.trl import session

    def stop(point: LossPoint, _steps: int) -> None:
        if point.step == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(session, "CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        run(tiny_base, tmp_path / "mine", objective, on_progress=stop)
    steps: list[int] = []
    resumed = run(
        tiny_base, tmp_path / "mine", objective, on_progress=lambda p, _: steps.append(p.step)
    )
    assert steps[0] > 1
    whole = run(tiny_base, tmp_path / "whole", objective)
    assert resumed.loss[-1].loss == pytest.approx(whole.loss[-1].loss, abs=1e-3)


@pytest.mark.nightly
def test_validation_and_divergence_work_as_in_supervised_training(
    tiny_base: Path, tmp_path: Path
) -> None:
    """Held-out pairs give a validation loss; a loss that is no number stops with a sentence."""
    for objective in OBJECTIVES:
        arm = run(tiny_base, tmp_path / objective, objective, validation=0.2)
        assert any(point.eval_loss is not None for point in arm.loss)
    wild = {"learning_rate": 1e38, "max_grad_norm": 0.0, "max_steps": 20}
    with pytest.raises(ModelError, match="diverged: the loss is nan"):
        run(tiny_base, tmp_path / "wild", "dpo", training=wild)


def test_no_second_copy_of_the_base_is_held(tiny_base: Path, tmp_path: Path) -> None:
    """The reference is the adapter switched off, or computed before all weights change."""
    from harness.models.load_model import load_tokenizer
    from harness.training.config.job import Job
    from harness.training.config.objectives import OBJECTIVES as ALL
    from harness.training.config.settings import method_of, settings_of, training_of
    from harness.training.trl import session

    base = BaseSection(model=str(tiny_base))
    for method in ("lora", "full"):
        candidate = CandidateSection(name="a", method=method, train="b", objective="dpo")
        job = Job(
            name="a",
            method=method_of(candidate),
            objective=ALL["dpo"],
            settings=settings_of(candidate),
            arguments=training_of(candidate),
            model=str(tiny_base),
            base=base,
            seed=0,
            checkpoints=tmp_path / method,
        )
        tokenizer = load_tokenizer(str(tiny_base), base, padding=True)
        trainer = session.build(job, encoded(pairs(), tokenizer), tokenizer, None)
        assert trainer.ref_model is None


def test_rows_of_the_wrong_shape_are_told_before_training(tiny_base: Path, tmp_path: Path) -> None:
    """Pairs under SFT, and single answers under DPO, name the row and the remedy."""
    single = [Example(prompt="a", completion="b", origin="rows.jsonl:7")]
    with pytest.raises(DataError, match=r"'dpo' learns from preference pairs: rows.jsonl:7 has no"):
        run(tiny_base, tmp_path / "a", "dpo", data=single)
    with pytest.raises(DataError, match=r"pairs.jsonl:1 is a preference pair .* set 'objective'"):
        run(tiny_base, tmp_path / "b", "sft")
    assert not list(tmp_path.iterdir())


def test_the_data_card_shows_both_answers(tiny_base: Path) -> None:
    """The picture of a pair has the chosen and the rejected answer, each with its end of turn."""
    tokenizer = RowTokenizer(str(tiny_base), BaseSection(model=str(tiny_base)))
    card = DataCard(shown=1).count(tokenizer.encode(pairs(1)))
    ((origin, parts),) = card.pictures(tokenizer.tokenizer)
    assert origin == "pairs.jsonl:1"
    assert marked(parts) == (
        "<|user|>what is 0?<|end|><|assistant|>⟦it is 0<|end|>⟧"
        " rather than ⟦who knows what 0 may be<|end|>⟧"
    )


def test_kto_compares_with_an_answer_of_another_row() -> None:
    """Each row's mismatched answer is that of the row before in its batch."""
    from harness.training.rows.encode import EncodedRow, token_ids
    from harness.training.trl.preference import pairs as dataset

    rows = [
        EncodedRow(token_ids([1, 2, i]), ((2, 3),), token_ids([100 + i])) for i in range(10, 20)
    ]
    made = dataset("kto", rows, batch=4, seed=0)
    assert sorted(map(tuple, made["completion_ids"])) == sorted(
        [(i,) for i in range(10, 20)] + [(100 + i,) for i in range(10, 20)]
    )
    for start in range(0, 20, 4):
        answers = made["completion_ids"][start : start + 4]
        assert made["KL_completion_ids"][start : start + 4] == [answers[-1], *answers[:-1]]
    assert made["label"] == [ids[0] < 100 for ids in made["completion_ids"]]
