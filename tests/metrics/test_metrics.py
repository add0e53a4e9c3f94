"""The scoring functions as `evaluate` modules, loaded by path and offline."""

from pathlib import Path
from typing import Any

import pytest

from harness import metrics
from harness.errors import StudyError
from harness.rating.embedding import best

STAFF = "CREATE TABLE staff (name TEXT); INSERT INTO staff VALUES ('Ada'), ('Ben');"


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Load a metric by its path, with caches of its own and no network."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import evaluate

    monkeypatch.setattr(evaluate.config, "HF_EVALUATE_OFFLINE", True)
    return lambda name: evaluate.load(
        metrics.path(name), cache_dir=str(tmp_path), experiment_id=f"{name}-{tmp_path.name}"
    )


def test_qa(load: Any) -> None:
    """Free-text answers: the share that says an accepted answer."""
    found = load("qa").compute(
        predictions=["In Vienna.", "Graz", "Ann"],
        references=[["Vienna"], ["Vienna"], []],
        questions=["Where?", "Where?", "Who?"],
    )
    assert found == {"exact_match": 0.5, "squad_em": 0.0, "f1": 1 / 3, "unscored": 1}


def test_choice(load: Any) -> None:
    """Free-text answers to multiple choice: right, wrong, and no choice named."""
    found = load("choice").compute(
        predictions=["B", "A", "hm"], references=[1, 1, 1], choices=[["Paris", "Rome"]] * 3
    )
    assert found == {"acc": 1 / 3, "answered": 2 / 3}


def test_coherence(load: Any) -> None:
    """Recall with accepted answers; without, the graded score, named after its measure."""
    contexts = [["I like tea.", "Nice.", "What do I like?"]] * 2
    said = ["You like tea.", "No idea."]
    recalled = load("coherence").compute(
        predictions=said, contexts=contexts, references=[["tea"], ["tea"]]
    )
    assert recalled["recall"] == 0.5
    graded = load("coherence").compute(
        predictions=said, references=[[], []], contexts=contexts, measure="words"
    )
    assert 0.5 < graded["coherence_words"] < 1.0
    assert "recall" not in graded
    found = load("coherence").compute(predictions=said, references=[[], []], contexts=contexts)
    assert f"coherence_{best()}" in found


def test_sql(load: Any) -> None:
    """Queries are executed; an unusable gold is counted apart."""
    found = load("sql").compute(
        predictions=["SELECT name FROM staff", "SELECT 1", "SELECT 1"],
        references=["SELECT name FROM staff", "SELECT name FROM staff", "SELECT x FROM y"],
        schemas=[STAFF] * 3,
    )
    assert found["execution_accuracy"] == 0.5
    assert found["unscored"] == 1


def test_tools(load: Any) -> None:
    """Calls in any format, and the shares of right tools and arguments."""
    offered = '[{"name": "weather", "parameters": {"type": "object"}}]'
    wanted = '[{"name": "weather", "arguments": {"town": "Graz", "days": 2}}]'
    found = load("tools").compute(
        predictions=['[weather(town="Graz", days=2)]', "[weather(town='Graz')]", "Sunny.", "Hi."],
        references=[wanted, wanted, wanted, "null"],
        tools=[offered] * 4,
    )
    assert found == {"call_match": 0.5, "names": 2 / 3, "arguments": 0.5}


def test_refusal(load: Any) -> None:
    """What should be declined and is, what should not be and is."""
    found = load("refusal").compute(
        predictions=["I can't help with that.", "I can't help with that.", "Sure."],
        references=["decline", "help", "help"],
    )
    assert found == {"fitting": 2 / 3, "declined": 2 / 3}


def test_classification(load: Any) -> None:
    """Labels that are named, and the mean of F1 over those that occur."""
    found = load("classification").compute(
        predictions=["a", "Label: b", "It is b.", "a or b"],
        references=["a", "a", "b", "b"],
        labels=["a", "b", "c"],
    )
    assert found == {"acc": 0.5, "answered": 0.75, "macro_f1": pytest.approx((2 / 3 + 1 / 2) / 2)}


def test_summary(load: Any) -> None:
    """Faults by the document, ROUGE where there is a reference."""
    text = "The shop in Graz sold 120 lamps in May, twice as many as in April."
    found = load("summary").compute(
        predictions=["The Graz shop sold 120 lamps in May.", "The Graz shop sold 150 in May."],
        references=["The Graz shop sold 120 lamps in May.", ""],
        documents=[text, text],
    )
    assert found == {
        "sound": 0.5, "grounded": 0.5, "rouge1": 1.0, "rouge2": 1.0, "rougeL": 1.0
    }  # fmt: skip


def test_metrics_combine(load: Any) -> None:
    """A metric is a normal `evaluate` module: batches can be added one by one."""
    metric = load("qa")
    metric.add_batch(predictions=["Vienna"], references=[["Vienna"]])
    metric.add_batch(predictions=["Graz"], references=[["Vienna"]])
    assert metric.compute()["exact_match"] == 0.5


def test_an_unknown_metric_names_the_nearest() -> None:
    """A mistyped metric is one sentence."""
    with pytest.raises(StudyError, match="did you mean 'choice'"):
        metrics.path("choise")


@pytest.mark.model
def test_a_metric_works_in_trls_compute_metrics(load: Any, tmp_path: Path) -> None:
    """One real training step and evaluation of TRL's trainer, scored by the qa module."""
    from datasets import Dataset
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
    from trl import SFTConfig, SFTTrainer

    rows = [{"prompt": "where is it", "completion": " in vienna"}] * 4
    vocabulary = ["<pad>", "</s>", "<unk>", "where", "is", "it", "in", "vienna", "graz"]
    core = Tokenizer(models.WordLevel({w: i for i, w in enumerate(vocabulary)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(vocabulary), **sizes, **heads))
    metric = load("qa")

    def texts(ids: Any, kept: Any) -> list[str]:
        return [
            tokenizer.decode(row[keep], skip_special_tokens=True)
            for row, keep in zip(ids, kept, strict=True)
        ]

    def compute_metrics(evaluated: Any) -> dict[str, float]:
        kept = evaluated.label_ids[:, 1:] != -100
        said = texts(evaluated.predictions[:, :-1], kept)
        gold = texts(evaluated.label_ids[:, 1:], kept)
        return metric.compute(predictions=said, references=[[text] for text in gold])

    trainer = SFTTrainer(
        model=model,
        processing_class=tokenizer,
        train_dataset=Dataset.from_list(rows),
        eval_dataset=Dataset.from_list(rows),
        compute_metrics=compute_metrics,
        preprocess_logits_for_metrics=lambda logits, _: logits.argmax(-1),
        args=SFTConfig(
            output_dir=str(tmp_path),
            max_steps=1,
            learning_rate=0.05,
            report_to="none",
            per_device_train_batch_size=4,
            per_device_eval_batch_size=4,
            use_cpu=True,
            gradient_checkpointing=False,
            bf16=False,
            disable_tqdm=True,
            save_strategy="no",
        ),
    )
    trainer.train()
    before = trainer.evaluate()["eval_exact_match"]
    assert before in {0.0, 1.0}
    trainer.args.max_steps = 40
    trainer.train()
    assert trainer.evaluate()["eval_exact_match"] == 1.0
