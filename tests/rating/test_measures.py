"""By what conversations are scored: the measures, their models, and what keeps them apart."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.bare_install import harness, run_bare

from harness.errors import ComparisonError, DataError, MissingMeasureError, StudyError
from harness.pipeline.finished.compare_scores import compare
from harness.rating import judge_all, rate
from harness.rating.embedding import MEASURES, NEEDED, best, check_measure
from harness.rating.minilm import LONGEST, MiniLM
from harness.records import Response, Suite
from harness.suites.catalogue import builtin_suites
from harness.suites.measures import with_measure

PAIRS = [
    ("Could you give me a ride home?", "Sure, hop in.", "I like home cooking and a bumpy ride."),
    (
        "Do you have any pets?",
        "Yes, a cat called Mia. And you?",
        "Do you have any pets, any pets at all, pets?",
    ),
]
"""A turn, a response that people prefer, and one that shares more words with the turn."""

TALKS = [
    {"id": f"{n}{kind}", "context": ["Hello!", "Hi, how are you?", turn], "response": said}
    for n, (turn, *responses) in enumerate(PAIRS)
    for kind, said in zip("ab", responses, strict=True)
]
ODD = ["", "猫" * 3000, "the answer is " * 2000, "Привет, как дела?", "\x00"]
"""Responses that no person writes."""
CONVERSATIONS = builtin_suites()["coherence"]


def rated(*rows: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
    """Rate conversations and return the output rows."""
    return list(rate("coherence", rows, **options))


def test_every_score_names_its_measure() -> None:
    """The score, its component and the output row bear the name of one measure."""
    for measure in MEASURES:
        for found in rated(*TALKS, measure=measure):
            assert found["measure"] == measure
            assert found["components"][f"coherence_{measure}"] == found["score"]
    assert rated(TALKS[0])[0]["measure"] == best()


def test_meaning_is_above_shared_words() -> None:
    """Sentence vectors put the response that people prefer first, where shared words do not."""
    by_meaning, by_words = (
        {row["id"]: row["score"] for row in rated(*TALKS, measure=measure)}
        for measure in ("minilm", "words")
    )
    assert all(by_meaning[f"{n}a"] > by_meaning[f"{n}b"] for n in range(len(PAIRS)))
    assert all(by_words[f"{n}a"] < by_words[f"{n}b"] for n in range(len(PAIRS)))


@pytest.mark.parametrize("measure", NEEDED)
def test_a_score_does_not_depend_on_the_other_rows(measure: str) -> None:
    """One row alone, many together and the reverse order give the same numbers."""
    together = {row["id"]: row for row in rated(*TALKS, measure=measure)}
    backwards = {row["id"]: row for row in rated(*reversed(TALKS), measure=measure)}
    assert together == backwards
    assert [rated(talk, measure=measure)[0] for talk in TALKS] == list(together.values())


@pytest.mark.parametrize("measure", MEASURES)
def test_whatever_was_written_gets_a_verdict(measure: str) -> None:
    """Other scripts, endless texts and halves of characters get a verdict, wherever they stand."""
    rows = [
        {"id": f"{n}", "context": ["How are you?"], "response": odd} for n, odd in enumerate(ODD)
    ]
    turns = [{"id": f"t{n}", "context": [odd], "response": "Fine."} for n, odd in enumerate(ODD)]
    (half,) = judge_all(
        "coherence", [({"context": ["\ud800"]}, (Response(text="\ud800"),))], measure=measure
    )
    assert half.outcome == "incorrect"
    for found in rated(*rows, *turns, measure=measure):
        assert found["verdict"] in {"correct", "incorrect"}
        assert 0.0 <= found["score"] <= 1.0


def test_measures_that_are_not_there_are_refused(tmp_path: Path) -> None:
    """A mistyped measure is named; one whose package is missing ends with 3 and the remedy."""
    with pytest.raises(StudyError, match="did you mean 'minilm'"):
        check_measure("minillm")
    with pytest.raises(StudyError, match="for coherence and conversation only"):
        list(rate("qa", [{"id": 1}], measure="words"))
    (tmp_path / "talks.jsonl").write_text(json.dumps(TALKS[0]), "utf-8")
    for measure, extra in NEEDED.items():
        line = f"rate coherence talks.jsonl -o out.jsonl --measure {measure}"
        done = harness(*line.split(), folder=tmp_path)
        assert done.returncode == MissingMeasureError.exit_code == 3
        (sentence,) = done.stderr.splitlines()
        assert sentence.endswith(f"pip install 'finetune-harness[{extra}]'")
    done = harness(*["rate", "coherence", "talks.jsonl", "-o", "out.jsonl"], folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "out.jsonl").read_text("utf-8"))["measure"] == "words"


def test_a_study_keeps_the_measure_that_it_was_declared_with(tmp_path: Path) -> None:
    """What is installed decides once; later the package must be there, or the run ends with 3."""
    asked = with_measure(CONVERSATIONS, [{}], asked=None, kept=None)
    assert (asked.measure, asked.metric, asked.kind) == (best(), f"coherence_{best()}", "graded")
    kept = with_measure(CONVERSATIONS, [{}], asked=None, kept="words")
    assert (kept.measure, kept.metric) == ("words", "coherence_words")
    code = (
        "from harness.suites.measures import with_measure\n"
        "from harness.suites.catalogue import builtin_suites\n"
        "from harness.errors import HarnessError\n"
        "try: with_measure(builtin_suites()['coherence'], [{}], asked=None, kept='minilm')\n"
        "except HarnessError as error: print(error.exit_code, error)"
    )
    done = run_bare(code, folder=tmp_path)
    assert done.stdout.startswith("3 scores by minilm"), done.stderr
    assert "finetune-harness[judges]" in done.stdout


def test_recall_decides_where_answers_are_known() -> None:
    """With accepted answers no measure is used; a file that mixes both is two suites."""
    known = {"answers": ["tea"]}
    assert with_measure(CONVERSATIONS, [known], asked=None, kept=None) == CONVERSATIONS
    with pytest.raises(StudyError, match="accepted answers"):
        with_measure(CONVERSATIONS, [known], asked="words", kept=None)
    with pytest.raises(StudyError, match="its judge has none"):
        with_measure(Suite(name="x", metric="acc"), [{}], asked="words", kept=None)
    with pytest.raises(DataError, match="1 of 2 lack them, the first is row 2"):
        with_measure(CONVERSATIONS, [known, {}], asked=None, kept=None)


def test_every_measure_says_how_far_it_agrees_with_people() -> None:
    """The sentence beside a figure comes from the suite's own file, one for each measure."""
    assert CONVERSATIONS.agreement
    said = {with_measure(CONVERSATIONS, [{}], asked=m, kept=None).agreement for m in MEASURES}
    assert len(said) == len(MEASURES)
    assert all(said)


def test_scores_by_two_measures_are_never_compared(tmp_path: Path) -> None:
    """Two rated files by two measures, and one file with both, are no comparison."""
    files = {}
    for name, measures in {"a": ("words",), "b": ("wordllama",), "c": ("words", "minilm")}.items():
        rows = [row for m in measures for row in rated(*TALKS, measure=m)]
        lines = [json.dumps({**row, "id": n}) + "\n" for n, row in enumerate(rows)]
        files[name] = tmp_path / f"{name}.jsonl"
        files[name].write_text("".join(lines), "utf-8")
    assert compare(files["a"], files["a"])
    with pytest.raises(ComparisonError, match="words in base and by wordllama"):
        compare(files["a"], files["b"])
    with pytest.raises(ComparisonError, match="one measure must score all"):
        compare(files["a"], files["c"])


@pytest.mark.model
def test_the_encoder_is_berts(tmp_path: Path) -> None:
    """Vectors in plain numpy are those of transformers' BERT, mean-pooled, each text on its own."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel

    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{n}" for n in range(50))]
    core = Tokenizer(models.WordLevel({w: i for i, w in enumerate(pieces)}, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    core.save(str(tmp_path / "tokenizer.json"))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(pieces), hidden_size=48, num_hidden_layers=2, num_attention_heads=12,
        intermediate_size=96, max_position_embeddings=LONGEST, initializer_range=0.3,
    )  # fmt: skip
    model = BertModel(config).eval()
    model.save_pretrained(tmp_path)
    texts = [" ".join(f"w{n * k % 50}" for k in range(1, 2 + n % 9)) for n in range(30)]
    encoder = MiniLM(tmp_path)
    found = encoder.encode(texts)
    for text, vector in zip(texts, found, strict=True):
        with torch.no_grad():
            ids = torch.tensor([core.encode(text).ids])
            mean = model(input_ids=ids).last_hidden_state[0].mean(0)
        np.testing.assert_allclose(vector, (mean / mean.norm()).numpy(), atol=2e-5)
        np.testing.assert_allclose(encoder.encode([text])[0], vector, atol=1e-6)
    start, end = " ".join(["w1"] * LONGEST), " ".join(["w2"] * LONGEST)
    first, last = encoder.encode([start, end])
    np.testing.assert_allclose(encoder.encode([f"{start} {end}"])[0], first, atol=1e-6)
    np.testing.assert_allclose(
        encoder.encode([f"{start} {end}"], keep_end=True)[0], last, atol=1e-6
    )
