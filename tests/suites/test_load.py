"""Suites as every arm sees them: lm-eval's own prompts and scores, item by item."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.suites import (
    OWN_ARC,
    REAL_ARC,
    STORIES,
    loaded,
    needs_real_data,
    samples,
    write_rows,
)
from support.tiny_models import llama, lora, sentencepiece_llama, write_tokenizer

from harness import content
from harness.engine import Engine, LoadedSuite, check_same_ids
from harness.errors import ComparisonError, DataError, MissingExtraError, StudyError
from harness.rating.similar_answers import available
from harness.records import BASE, Response, Sample
from harness.study import SuiteSection
from harness.suites.lm_eval_task import load_task, quiet
from harness.suites.text_tokenizer import TextTokenizer


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """Return an engine on a small Llama."""
    return Engine.load(str(llama(tmp_path_factory.mktemp("suite") / "base")), device="cpu")


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return the same tokenizer, for tests that need no model."""
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("words")
    write_tokenizer(folder)
    return AutoTokenizer.from_pretrained(folder)


def lm_eval_samples(model: Any, section: SuiteSection, folder: Path, **kwargs: Any) -> list[Any]:
    """Run plain lm-eval with its own hf model on the same rows."""
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM

    with quiet():
        task = load_task(section.model_copy(update={"limit": None}), folder)
        results = simple_evaluate(
            HFLM(**model, device="cpu", batch_size=8, dtype="float32"),
            tasks=[task], bootstrap_iters=0, fewshot_random_seed=1234, **kwargs,
        )  # fmt: skip
    assert results is not None
    return list(results["samples"][section.name])


def texts(rows: Path) -> list[str]:
    """Return every question and choice of a folder of rows."""
    read = [json.loads(line) for line in (rows / "test.jsonl").read_text("utf-8").splitlines()]
    return [text for row in read for text in (row["question"], *row["choices"]["text"])]


def assert_same(ours: list[Sample], theirs: list[Any], *, close: float = 1e-4) -> None:
    """Compare hashes, targets, log-likelihoods and metrics of every item."""
    by_hash = {row["doc_hash"]: row for row in theirs}
    assert {sample.item.key.doc_hash for sample in ours} <= by_hash.keys()
    from harness.store.samples import _sha256

    for sample in ours:
        row = by_hash[sample.item.key.doc_hash]
        assert _sha256(sample.item.prompt) == row["prompt_hash"]
        assert sample.item.target == str(row["target"])
        for response, [(logprob, greedy)] in zip(sample.responses, row["resps"], strict=True):
            assert response.logprob == pytest.approx(logprob, abs=close)
            assert response.is_greedy == greedy
        for metric in ("acc", "acc_norm"):
            assert sample.verdict.metrics[metric] == row[metric]


def test_our_arc_challenge_is_lm_evals_own() -> None:
    """Field by field; only what stands under `metadata: harness:` is ours."""
    import lm_eval.tasks
    from lm_eval.tasks._yaml_loader import load_yaml

    theirs = load_yaml(Path(lm_eval.tasks.__file__).parent / "arc" / "arc_challenge.yaml")
    ours = load_yaml(content.TASKS / "arc_challenge" / "arc_challenge.yaml")
    ours["metadata"].pop("harness")
    assert ours == theirs


@pytest.mark.model
@pytest.mark.parametrize("shots", [3, pytest.param(0, marks=pytest.mark.nightly)])
def test_base_and_adapter_score_as_in_plain_lm_eval(
    engine: Engine, tmp_path: Path, shots: int
) -> None:
    """Prompts, few-shot draws, log-likelihoods and metrics equal the hf model's, arm by arm."""
    write_rows(tmp_path / "rows" / "test.jsonl")
    write_rows(tmp_path / "rows" / "train.jsonl", 7)
    base = Path(engine.switch.origin.model)
    folder = lora(base, tmp_path / "tuned", seed=3 + shots)
    name = f"tuned{shots}"
    engine.attach(name, folder)
    section = SuiteSection(name="arc_challenge", data="rows", num_fewshot=shots)
    suite = loaded(engine, tmp_path, data="rows", num_fewshot=shots)
    for arm, model in ((BASE, {}), (name, {"peft": str(folder)})):
        theirs = lm_eval_samples({"pretrained": str(base)} | model, section, tmp_path)
        assert_same(samples(engine, arm, suite), theirs)


@pytest.mark.model
def test_chat_templates_are_applied_as_lm_eval_applies_them(tmp_path: Path) -> None:
    """Under a template choices follow without a space, few-shot examples are turns."""
    base = llama(tmp_path / "base")
    write_tokenizer(base, chat=True)
    write_rows(tmp_path / "rows" / "test.jsonl")
    write_rows(tmp_path / "rows" / "train.jsonl", 5)
    engine = Engine.load(str(base), device="cpu")
    suite = loaded(engine, tmp_path, template="auto", data="rows", num_fewshot=2)
    section = SuiteSection(name="arc_challenge", data="rows", num_fewshot=2)
    theirs = lm_eval_samples(
        {"pretrained": str(base)}, section, tmp_path,
        apply_chat_template=True, fewshot_as_multiturn=True,
    )  # fmt: skip
    assert " w9 " in suite.items[0].prompt
    assert_same(samples(engine, BASE, suite), theirs)


@pytest.mark.model
@pytest.mark.parametrize(
    ("rows", "limit"),
    [
        (OWN_ARC, 16),
        pytest.param(REAL_ARC, 40, marks=[needs_real_data, pytest.mark.nightly]),
    ],
    ids=["own rows", "real rows"],
)  # fmt: skip
def test_arc_scores_as_in_plain_lm_eval(rows: Path, limit: int, tmp_path: Path) -> None:
    """Whole questions, also on rows and a model that nobody here made; base and adapter."""
    base = STORIES if rows == REAL_ARC else sentencepiece_llama(tmp_path / "base", texts(rows))
    engine = Engine.load(str(base), device="cpu")
    folder = lora(base, tmp_path / "tuned")
    engine.attach("tuned", folder)
    section = SuiteSection(name="arc_challenge", data=str(rows), limit=limit)
    suite = loaded(engine, tmp_path, data=str(rows), limit=limit)
    for arm, model in ((BASE, {}), ("tuned", {"peft": str(folder)})):
        theirs = lm_eval_samples(
            {"pretrained": str(base)} | model, section, tmp_path,
            samples={"arc_challenge": list(suite.recipe.doc_ids)},
        )  # fmt: skip
        assert_same(samples(engine, arm, suite), theirs, close=2e-4)


@pytest.mark.model
@pytest.mark.skipif(
    not (content.BUILTIN_MODELS["tiny"] / "model.safetensors").is_file(),
    reason="the built-in base has not been built",
)
def test_the_built_in_base_scores_its_suite_as_in_plain_lm_eval(tmp_path: Path) -> None:
    """The first thing that everyone runs agrees with lm-eval, under the base's chat template."""
    base = content.BUILTIN_MODELS["tiny"]
    engine = Engine.load(str(base), device="cpu")
    assert engine.notes == []
    suite = loaded(engine, tmp_path, template="auto", name="arc_mini", limit=60)
    theirs = lm_eval_samples(
        {"pretrained": str(base)}, SuiteSection(name="arc_mini"), tmp_path,
        samples={"arc_mini": list(suite.recipe.doc_ids)},
        apply_chat_template=suite.recipe.chat, fewshot_as_multiturn=suite.recipe.chat,
    )  # fmt: skip
    assert_same(samples(engine, BASE, suite), theirs)


def test_loading_twice_draws_the_same_few_shot_examples(words: Any, tmp_path: Path) -> None:
    """lm-eval's `evaluate` draws others on a second call; every arm of ours sees the same."""
    write_rows(tmp_path / "rows" / "test.jsonl")
    write_rows(tmp_path / "rows" / "train.jsonl", 9)
    first = loaded(words, tmp_path, data="rows", num_fewshot=3)
    second = loaded(words, tmp_path, data="rows", num_fewshot=3)
    assert first.requests == second.requests
    check_again = loaded(words, tmp_path, data="rows", num_fewshot=3)
    assert [i.prompt_hash for i in check_again.items] == [i.prompt_hash for i in first.items]


def test_few_shot_from_the_scored_rows_leaves_the_scored_row_out(
    words: Any, tmp_path: Path
) -> None:
    """Where there are no other rows, no item is its own example."""
    write_rows(tmp_path / "rows.jsonl", 6)
    suite = loaded(words, tmp_path, data="rows.jsonl", num_fewshot=4)
    for item in suite.items:
        assert item.prompt.count(f"Question: {item.doc['question']}\n") == 1


def test_more_examples_than_rows_are_refused(words: Any, tmp_path: Path) -> None:
    """A million examples of six rows is one sentence with the number that was asked for."""
    write_rows(tmp_path / "rows.jsonl", 6)
    with pytest.raises(StudyError, match="num_fewshot is 1000000"):
        loaded(words, tmp_path, data="rows.jsonl", num_fewshot=1_000_000)


def test_limit_takes_rows_that_do_not_depend_on_their_order(words: Any, tmp_path: Path) -> None:
    """The same rows are chosen when the file is turned round, and they are not the first ones."""
    path = write_rows(tmp_path / "rows.jsonl", 40)
    suite = loaded(words, tmp_path, data="rows.jsonl", limit=10)
    chosen = {item.key.doc_hash for item in suite.items}
    assert len(chosen) == 10
    assert [item.doc_id for item in suite.items] != list(range(10))
    path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))))
    turned = loaded(words, tmp_path, data="rows.jsonl", limit=10)
    assert {item.key.doc_hash for item in turned.items} == chosen
    for item in suite.items:
        assert item.doc["question"] in item.prompt


def test_equal_rows_are_items_of_their_own(words: Any, tmp_path: Path) -> None:
    """Two rows with one hash differ by their occurrence."""
    path = write_rows(tmp_path / "rows.jsonl", 2)
    path.write_text(path.read_text() * 2)
    keys = [item.key for item in loaded(words, tmp_path, data="rows.jsonl").items]
    assert len(set(keys)) == 4
    assert sorted(key.occurrence for key in keys) == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"id": 1}\n{"id": \n', r"rows\.jsonl:2: "),
        ("[1, 2]\n", r"rows\.jsonl:1 holds a list"),
        ("\n\n", "is empty"),
        (None, "no data file"),
        ('{"wrong": "shape"}\n', "rows of suite"),
    ],
)
def test_bad_rows_are_named(words: Any, tmp_path: Path, text: str | None, message: str) -> None:
    """File, line and rule stand in one sentence."""
    if text is not None:
        (tmp_path / "rows.jsonl").write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        loaded(words, tmp_path, data="rows.jsonl")
    assert "\n" not in str(caught.value)


def test_texts_that_look_like_dates_stay_texts(words: Any, tmp_path: Path) -> None:
    """A JSON loader that guesses types would turn them into timestamps."""
    row = {
        "question": "2024-01-01", "choices": {"text": ["2024-01-02T00:00:00", "b"],
        "label": ["A", "B"]}, "answerKey": "A",
    }  # fmt: skip
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    suite = loaded(words, tmp_path, data="rows.jsonl")
    assert suite.items[0].doc["question"] == "2024-01-01"
    assert suite.requests[0].continuation == " 2024-01-02T00:00:00"


def test_an_unknown_suite_names_the_nearest_one(words: Any, tmp_path: Path) -> None:
    """A mistyped name is told from ours and from lm-eval's fourteen thousand."""
    with pytest.raises(StudyError, match="did you mean 'arc_challenge'"):
        loaded(words, tmp_path, name="arc_chalenge")


def test_another_lm_eval_task_can_be_named(words: Any, tmp_path: Path) -> None:
    """Any task of lm-eval's works, here with rows of the user's own."""
    write_rows(tmp_path / "rows.jsonl")
    suite = loaded(words, tmp_path, name="arc_easy", data="rows.jsonl")
    assert suite.suite.metric == "acc"
    assert len(suite.items) == 12


def test_another_metric_of_a_task_can_decide(words: Any, tmp_path: Path) -> None:
    """It keeps its own direction; one that the task lacks, or a judge's, is refused by name."""
    write_rows(tmp_path / "rows.jsonl")
    rows = {"data": "rows.jsonl"}
    for name in ("arc_easy", "arc_mini"):
        suite = loaded(words, tmp_path, name=name, metric="acc_norm", **rows)
        assert suite.suite.metric == "acc_norm"
        assert suite.suite.higher_is_better
    right = {r.key: Response(logprob=-float(r.index), is_greedy=True) for r in suite.requests}
    sample = suite.samples(BASE, right)[0]
    assert sample.verdict.score == sample.verdict.metrics["acc_norm"]
    with pytest.raises(StudyError, match=r"has acc, acc_norm.*found 'acc_nrm'; did you mean"):
        loaded(words, tmp_path, name="arc_easy", metric="acc_nrm", **rows)
    with pytest.raises(StudyError, match="the qa judge decides by exact_match: found metric 'f1'"):
        loaded(words, tmp_path, name="domain_qa", metric="f1")


def test_a_task_keeps_its_direction_and_needs_its_scale(words: Any, tmp_path: Path) -> None:
    """Crows-pairs measures a difference in nats that should be small."""
    row = {"sent_more": "w3 w4", "sent_less": "w5 w6", "bias_type": "age"}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    section = {"name": "crows_pairs_english", "data": "rows.jsonl"}
    with pytest.raises(StudyError, match=r"likelihood_diff of suite 'crows_pairs.*'scale: \[low"):
        loaded(words, tmp_path, **section)
    suite = loaded(words, tmp_path, scale=(0, 50), **section).suite
    assert (suite.metric, suite.higher_is_better, suite.scale) == (
        "likelihood_diff",
        False,
        (0, 50),
    )


def test_a_judge_of_ours_has_its_scale(words: Any, tmp_path: Path) -> None:
    """On another one its scores would shrink, and the margin would hide any loss."""
    with pytest.raises(StudyError, match="the qa judge scores between 0 and 1: leave 'scale'"):
        loaded(words, tmp_path, name="domain_qa", scale=(0, 100))


def test_only_answers_to_questions_can_be_similar(words: Any, tmp_path: Path) -> None:
    """A least cosine for another judge is refused; the qa judge keeps it, if its model is there."""
    with pytest.raises(StudyError, match="only suites of the qa judge can count similar answers"):
        loaded(words, tmp_path, name="coherence", similar=0.6)
    if available():
        assert loaded(words, tmp_path, name="domain_qa", similar=0.6).suite.similar == 0.6
    else:
        with pytest.raises(MissingExtraError, match="judges"):
            loaded(words, tmp_path, name="domain_qa", similar=0.6)


def test_the_filter_that_decides_is_named(words: Any, tmp_path: Path) -> None:
    """gsm8k has two, and a note says which one counts."""
    row = {"question": "w3 w4", "answer": "w5 #### 7"}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    suite = loaded(words, tmp_path, name="gsm8k", data="rows.jsonl", num_fewshot=0)
    (note,) = suite.notes
    assert note.startswith("gsm8k is decided by its filter strict-match; the scores by flexible-")
    answer = Response(text="so it is 7", finish="stop", tokens=3)
    (sample,) = suite.samples(BASE, {suite.requests[0].key: answer})
    assert sample.verdict.metrics == {"exact_match": 0.0, "exact_match,flexible-extract": 1.0}


@pytest.mark.parametrize("name", ["arc_mini", "coherence", "domain_qa", "sql"])
def test_every_suite_of_ours_can_be_asked(tmp_path: Path, name: str) -> None:
    """Rows load from beside the YAML, settings are complete, conversations are real turns."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(content.BUILTIN_MODELS["tiny"])
    suite = loaded(tokenizer, tmp_path, name=name, limit=5, template="auto")
    assert len(suite.items) == 5
    assert all(item.prompt.endswith("<|assistant|>") for item in suite.items)
    for request in suite.requests:
        if request.kind == "generate_until":
            assert request.settings["max_new_tokens"] > 0
    if name == "coherence":
        assert suite.items[0].prompt.count("<|user|>") == sum(
            turn["role"] == "user" for turn in suite.items[0].doc["messages"]
        )


class TestSameIds:
    """Adapters that bring a tokenizer of their own."""

    @pytest.fixture
    def suite(self, words: Any, tmp_path: Path) -> LoadedSuite:
        """Return a suite over rows of the word-level tokenizer."""
        write_rows(tmp_path / "rows.jsonl")
        return loaded(words, tmp_path, data="rows.jsonl")

    def folder(self, tmp_path: Path, change: Any) -> Path:
        """Return an adapter folder with a changed tokenizer."""
        path = tmp_path / "adapter"
        path.mkdir()
        write_tokenizer(path)
        file = path / "tokenizer.json"
        tokenizer = json.loads(file.read_text())
        change(tokenizer["model"]["vocab"])
        file.write_text(json.dumps(tokenizer))
        return path

    def test_other_ids_for_a_prompt_are_refused(self, suite: LoadedSuite, tmp_path: Path) -> None:
        """Two words changed places: the arms would see different prompts."""

        def swap(words: dict[str, int]) -> None:
            words["w20"], words["w21"] = words["w21"], words["w20"]

        with pytest.raises(ComparisonError, match="same token ids"):
            check_same_ids([suite], self.folder(tmp_path, swap))

    def test_words_that_no_prompt_uses_are_allowed(
        self, suite: LoadedSuite, tmp_path: Path
    ) -> None:
        """Extra tokens do not matter as long as every prompt keeps its ids."""
        check_same_ids([suite], self.folder(tmp_path, lambda words: words.update(extra=200)))

    def test_no_tokenizer_is_the_bases(self, suite: LoadedSuite, tmp_path: Path) -> None:
        """Most adapter folders bring none."""
        check_same_ids([suite], tmp_path)

    def test_another_chat_template_is_refused(self, tmp_path: Path) -> None:
        """A template that lays turns out otherwise gives other ids."""
        from transformers import AutoTokenizer

        write_rows(tmp_path / "rows.jsonl")
        base, theirs = tmp_path / "base", tmp_path / "theirs"
        for path in (base, theirs):
            path.mkdir()
            write_tokenizer(path, chat=True)
        suite = loaded(
            AutoTokenizer.from_pretrained(base), tmp_path, data="rows.jsonl", template="auto"
        )
        check_same_ids([suite], theirs)
        for file in theirs.glob("*template*"):
            file.write_text("{% for m in messages %}w5 {{ m['content'] }}{% endfor %}")
        with pytest.raises(ComparisonError, match="chat template"):
            check_same_ids([suite], theirs)


def test_fixed_strata_make_items_the_unit(tmp_path: Path) -> None:
    """What is declared as a sample groups items; what is declared as all there is does not."""
    path = tmp_path / "rows.jsonl"
    rows = [{"question": f"q {n}?", "answers": [str(n)], "document": f"d{n % 2}"} for n in range(6)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    tokenizer = TextTokenizer(chat=False)

    def clusters(**section: str) -> int:
        suite = loaded(tokenizer, tmp_path, name="domain_qa", data=str(path), **section)
        return len({item.cluster for item in suite.items})

    assert clusters(cluster="document") == 2
    assert clusters(strata="document") == 6
    with pytest.raises(StudyError, match="only by a field of its rows: strata is 'documnet'"):
        clusters(strata="documnet")


def test_a_template_is_compiled_once(tmp_path: Path) -> None:
    """A task's few templates serve all of its items, and write what lm-eval alone would write."""
    from jinja2 import BaseLoader, Environment
    from lm_eval import utils

    task = load_task(SuiteSection(name="arc_mini"), tmp_path)
    before = utils.env.from_string.cache_info()
    rows = list(task.eval_docs)[:50]
    plain = Environment(loader=BaseLoader(), keep_trailing_newline=True)
    template = task.config.doc_to_text
    assert [task.doc_to_text(row) for row in rows] == [
        plain.from_string(template).render(**row) for row in rows
    ]
    after = utils.env.from_string.cache_info()
    assert after.misses - before.misses <= 1
    assert after.hits - before.hits >= 49
