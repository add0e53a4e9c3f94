"""Is a suite of one's own fit to decide? Its golden lines, and what is wrong with its rows."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import DataError, StudyError
from harness.models.protocols import Tokenizer
from harness.rating.input_rows import DOCUMENT, document_problem
from harness.records import Item
from harness.stats.clusters import FEW_CLUSTERS
from harness.study import SuiteSection
from harness.suites import catalogue, dataset
from harness.suites.load_suite import LoadedSuite, load_suite
from harness.suites.own.golden_lines import disagreements, right_answers

_TOLD = 5
"""Rows that a finding names; it counts them all."""

NO_PROBES = (
    "none of its {items} dialogues has probes, so nothing says what is right in them: they are "
    "scored by how well answers fit ({measure}), which tells models apart roughly; 'probes' of a "
    "turn say what its answer has to hold"
)
"""What is said of dialogues that cannot be kept or lost."""

FEW_ITEMS = 50
"""Items below which only very large changes show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFinding:
    """Something about a suite's rows: ``grave`` where no verdict should rest on them."""

    grave: bool
    text: str


def suite_file(folder: Path) -> Path:
    """Return the YAML of a suite's folder.

    Raises:
        StudyError: If it is not there.
    """
    file = folder / f"{folder.resolve().name}.yaml"
    if not file.is_file():
        raise StudyError(f"a suite's folder holds a file of its own name: {file} is not there")
    return file


def load_own(
    folder: Path, tokenizer: Tokenizer, *, split: str = "test", name: str = ""
) -> LoadedSuite:
    """Load a suite's folder as a study does that names it.

    Args:
        folder: The suite's folder.
        tokenizer: Of the model that will answer.
        split: Which rows.
        name: The suite's name, where it is not the folder's.
    """
    section = SuiteSection(
        name=name or folder.resolve().name, folder=str(folder.resolve()), split=split
    )
    return load_suite(
        section, engine_tokenizer=tokenizer, template="auto", seed=0, folder=Path.cwd()
    )


def check_rows(folder: Path, tokenizer: Tokenizer) -> Iterator[RowFinding]:
    """Check a suite's folder: yield what is found, what is grave first in each part.

    Raises:
        StudyError: If it holds no suite.
        DataError: If its rows cannot be read.
    """
    file = suite_file(folder)
    config = catalogue.read_config(file)
    splits = dataset.splits_of(folder / "data")
    _fields(folder, catalogue.declaration(file.stem, config).judge, config, splits)
    loaded = {name: load_own(folder, tokenizer, split=name) for name in splits}
    scored = loaded.get("test") or next(iter(loaded.values()))
    yield from _repeated(scored.items)
    yield from _shared(loaded)
    if scored.suite.judge == "conversation" and scored.suite.is_measured:
        said = NO_PROBES.format(items=len(scored.items), measure=scored.suite.measure)
        yield RowFinding(grave=False, text=said)
    yield from _own_golds(scored)
    yield from _golden(scored, folder / "golden.jsonl")
    yield from _counts(scored)


def _found(what: str, rows: list[str], *, grave: bool) -> Iterator[RowFinding]:
    if rows:
        more = f" and {len(rows) - _TOLD} more" if len(rows) > _TOLD else ""
        yield RowFinding(grave=grave, text=f"{what}: {', '.join(rows[:_TOLD])}{more}")


def _fields(
    folder: Path,
    judge: str | None,
    config: Mapping[str, object],
    splits: Mapping[str, list[dict[str, object]]],
) -> None:
    """Hold rows to what their judge reads.

    Raises:
        DataError: Naming the file and the line.
    """
    if judge not in DOCUMENT:
        return
    if judge == "classification":
        splits = dataset.with_labels(splits, dataset.declared_labels(config))
    for split, rows in splits.items():
        for number, row in enumerate(rows, start=1):
            if problem := document_problem(judge, row):
                raise DataError(f"{folder / 'data' / split}.jsonl, row {number}: {problem}")


def _name(item: Item) -> str:
    return str(item.doc.get("id") or f"row {item.doc_id + 1}")


def _asked(item: Item) -> str:
    """Return what an item asks: its prompt, and of a dialogue the turns that come after it."""
    turns = repr(item.doc.get("turns") or "")
    return " ".join(f"{item.prompt} {turns}".casefold().split())


def _by_prompt(items: tuple[Item, ...]) -> Mapping[str, list[Item]]:
    found: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        found[_asked(item)].append(item)
    return found


def _repeated(items: tuple[Item, ...]) -> Iterator[RowFinding]:
    groups = [group for group in _by_prompt(items).values() if len(group) > 1]
    two_golds = [g for g in groups if len({_gold(item) for item in g}) > 1]
    yield from _found(
        "rows that ask the same, and have different right answers",
        [" = ".join(map(_name, group)) for group in two_golds], grave=True,
    )  # fmt: skip
    yield from _found(
        "rows that ask the same (their cluster has to be one)",
        [" = ".join(map(_name, group)) for group in groups if group not in two_golds], grave=False,
    )  # fmt: skip
    unclustered = [g for g in groups if len({item.cluster for item in g}) > 1]
    yield from _found(
        "rows that ask the same and count as independent; give them one value of the cluster field",
        [" = ".join(map(_name, group)) for group in unclustered], grave=True,
    )  # fmt: skip


def _gold(item: Item) -> str:
    return repr([item.doc.get(k) for k in ("answers", "label", "should", "expected", "answerKey")])


def _shared(loaded: Mapping[str, LoadedSuite]) -> Iterator[RowFinding]:
    """Find what two splits ask alike: examples or choices made on one would leak into the other."""
    seen: dict[str, tuple[str, Item]] = {}
    shared = []
    for split, suite in loaded.items():
        for item in suite.items:
            where, first = seen.setdefault(_asked(item), (split, item))
            if where != split:
                shared.append(f"{split} {_name(item)} = {where} {_name(first)}")
    yield from _found("rows that are in two splits", shared, grave=True)


def _own_golds(scored: LoadedSuite) -> Iterator[RowFinding]:
    """Find right answers that the judge would call wrong: no model could do better."""
    wrong = [
        f"{_name(item)} ({verdict.explanation})"
        for item, verdict in right_answers(scored)
        if verdict.outcome != "correct"
    ]
    share = f" ({len(wrong)} of {len(scored.items)})"
    yield from _found(
        f"rows whose own right answer the judge calls wrong{share}", wrong,
        grave=scored.suite.judge != "summary",
    )  # fmt: skip


def _golden(scored: LoadedSuite, file: Path) -> Iterator[RowFinding]:
    if not file.is_file():
        lacking = f"no golden lines: {file} is not there; nothing holds the judge to your verdicts"
        yield RowFinding(grave=False, text=lacking)
        return
    count, wrong = disagreements(scored, file)
    yield from _found(
        "golden lines that the judge decides otherwise",
        [f"line {w.number}: {w.why}: expected {w.expected}, found {w.found}" for w in wrong],
        grave=True,
    )
    yield RowFinding(grave=False, text=f"golden lines that hold: {count - len(wrong)} of {count}")
    known = {repr(item.doc) for item in scored.items}
    rows = [str(n) for n, line in enumerate(dataset.read(file), 1) if repr(line["doc"]) in known]
    yield from _found(
        "golden lines about rows that are scored (fine for the judge; never show them to a model "
        "as examples)", rows, grave=False,
    )  # fmt: skip


def _counts(scored: LoadedSuite) -> Iterator[RowFinding]:
    items = scored.items
    clusters = len({item.cluster for item in items})
    yield RowFinding(grave=False, text=f"items: {len(items)}, independent clusters: {clusters}")
    if clusters < FEW_CLUSTERS:
        yield RowFinding(
            grave=False,
            text=f"fewer than {FEW_CLUSTERS} clusters: only a change in nearly all of them shows; "
            "add rows about other things",
        )
    elif len(items) < FEW_ITEMS:
        few = f"fewer than {FEW_ITEMS} items: only large changes show; harness plan says how large"
        yield RowFinding(grave=False, text=few)
