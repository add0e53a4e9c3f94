"""Bad inputs by a seeded draw, and what a command must never do with one.

Each case is a folder of valid files of which one was made bad, and a command that reads it; or a
command line that is bad itself. Whatever is drawn, a command ends within `TIME_LIMIT` seconds of
work with a documented exit code, prints no traceback, blames no input on itself, changes no file
that it was given, and leaves no half-written one.
"""

import hashlib
import json
import random
import re
import shutil
import signal
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import FrameType

from support.command import harness, harness_here
from support.finished_runs import write_run
from support.mutations import WRONG, spoil
from support.tiny_models import lora

from harness import content

TIME_LIMIT = 10
"""Seconds of processor time that a command may take; it may wait six times as long."""
VERDICTS = ("run", "compare", "gate")
"""Commands whose exit code is a verdict."""


class HangError(BaseException):
    """A command took longer than `TIME_LIMIT`; no command may catch it."""


@dataclass(frozen=True, slots=True)
class BadCase:
    """A command on bad input: where its valid files come from, which are spoilt, and its words.

    ``outputs`` are what it may write.
    """

    kind: str
    template: str
    spoilt: str
    words: tuple[str, ...]
    outputs: tuple[str, ...] = ()


@dataclass(slots=True)
class Outcome:
    """What a command did with bad input; ``faults`` is empty where it behaved."""

    case: BadCase
    code: int
    said: str
    faults: list[str] = field(default_factory=list)


def _lines(*rows: object) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


class Workshop:
    """Valid files of every kind, made once below a folder; the cases spoil copies of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("run", "scores", "rate", "rows", "study", "adapter", "base", "lm_eval"):
            path = folder / "valid" / name
            path.mkdir(parents=True)
            getattr(self, f"_{name}")(path)

    def _run(self, path: Path) -> None:
        run = write_run(path / "run", size=6)
        for arguments in (
            ["report", "run"],
            ["review", "draw", "run"],
            ["gate", "run", "--write-baseline", "baseline.jsonl", "--arm", "base"],
        ):
            done = harness_here(*arguments, folder=path)
            assert done.returncode == 0, done.stderr
        next(run.review.glob("*/key.json")).parent.rename(run.review / "drawn")
        turns = [{"role": "user", "content": "hi"}]
        run.chats.mkdir()
        (run.chats / "one.jsonl").write_text(
            _lines({"context": turns, "answers": {"base": "a", "mixed": "b"}})
        )
        for name in ("report.html", "gate.json", "junit.xml", "report.md"):
            (run.path / name).unlink(missing_ok=True)

    def _scores(self, path: Path) -> None:
        for side in ("base", "tuned"):
            rows = [{"id": n, "score": n % 2, "cluster": f"c{n // 3}"} for n in range(30)]
            (path / f"{side}.jsonl").write_text(_lines(*rows))

    def _lm_eval(self, path: Path) -> None:
        for side in ("base", "tuned"):
            folder = path / side
            folder.mkdir()
            rows = [
                {
                    "doc_id": n, "doc": {"q": n}, "target": "a", "arguments": {}, "resps": [["a"]],
                    "filtered_resps": ["a"], "filter": "none", "metrics": ["acc"],
                    "doc_hash": f"{n:04}", "prompt_hash": f"p{n}", "target_hash": "t", "acc": 1.0,
                }
                for n in range(20)
            ]  # fmt: skip
            stamp = "2026-01-01T00-00-00.000000"
            (folder / f"samples_toy_{stamp}.jsonl").write_text(_lines(*rows))
            results = {
                "results": {"toy": {"acc,none": 1.0}},
                "higher_is_better": {"toy": {"acc": True}},
                "configs": {"toy": {"metric_list": [{"metric": "acc", "higher_is_better": True}]}},
            }
            (folder / f"results_{stamp}.json").write_text(json.dumps(results))

    def _rate(self, path: Path) -> None:
        turns = [{"role": "user", "content": "My dog is Rex."}]
        rows = {
            "qa": {"question": "q?", "answers": ["42"], "response": "It is 42.", "context": "c"},
            "choice": {"question": "q?", "choices": ["a", "b"], "answer": 1, "response": "b"},
            "coherence": {"context": turns, "response": "Rex is a good dog."},
            "sql": {
                "question": "q?", "gold_sql": "SELECT a FROM t", "pred_text": "SELECT a FROM t",
                "schema_sql": "CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1);",
            },
        }  # fmt: skip
        for name, row in rows.items():
            (path / f"{name}.jsonl").write_text(_lines(*({"id": n, **row} for n in range(3))))

    def _rows(self, path: Path) -> None:
        turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
        shapes: dict[str, dict[str, object]] = {
            "question": {"question": "How many?", "answer": "42", "context": "the book"},
            "messages": {"messages": turns, "tools": [], "system": "be kind"},
            "pair": {"prompt": "q", "chosen": "good", "rejected": "bad"},
            "kto": {"prompt": "q", "completion": "a", "label": True},
            "alpaca": {"instruction": "do", "input": "this", "output": "done", "weight": 1},
            "text": {"text": "some words"},
        }
        for name, row in shapes.items():
            (path / f"{name}.jsonl").write_text(_lines(*({**row, "number": n} for n in range(3))))
        (path / "list.json").write_text(json.dumps([shapes["question"]] * 2))
        (path / "table.csv").write_text('question,answer\n"a, b",c\nd,"e\nf"\n')
        (path / "table.tsv").write_text("question\tanswer\na\tb\nc\td\n")
        (path / "words.txt").write_text("A paragraph.\n\nAnother one.\n")

    def _study(self, path: Path) -> None:
        self._suite_rows(path)
        self._adapter(path)
        study = {
            "name": "bad",
            "base": {"model": "builtin:tiny", "dtype": "float32", "template": "auto"},
            "candidates": [
                {"name": "theirs", "adapter": "adapter", "note": "a note"},
                {
                    "name": "ours", "train": "train.jsonl", "method": "lora",
                    "settings": {"r": 2, "target_modules": "all-linear"},
                    "training": {"max_steps": 1, "learning_rate": 1e-3}, "validation": 0.2,
                    "eval_suites": {"arc_mini": 2},
                },
            ],
            "suites": [
                {"name": "arc_mini", "data": "arc.jsonl", "margin": 0.1, "num_fewshot": 0},
                {"name": "domain_qa", "data": "qa.jsonl", "cluster": "topic"},
                {"name": "sql", "data": "sql.jsonl", "limit": 2, "must_pass": []},
            ],
            "data": {"repetitions": "drop", "overlap": "warn", "min_characters": 1},
            "gate": {"alpha": 0.05, "beta": 0.05, "max_unscored": 0.1, "margin": 0.05},
            "review": {"items_per_suite": 2, "raters": 1},
            "seed": 0,
        }  # fmt: skip
        (path / "study.yaml").write_text(json.dumps(study, indent=1))

    def _suite_rows(self, path: Path) -> None:
        rows = [{"question": f"q {n}?", "answer": f"a {n}"} for n in range(10)]
        (path / "train.jsonl").write_text(_lines(*rows))
        for name in ("domain_qa", "sql", "arc_mini"):
            test = (content.TASKS / name / "data" / "test.jsonl").read_text(encoding="utf-8")
            short = "\n".join(test.splitlines()[:4]) + "\n"
            (path / f"{name.removeprefix('domain_').removesuffix('_mini')}.jsonl").write_text(short)

    @cached_property
    def _tiny_adapter(self) -> Path:
        return lora(content.BUILTIN_MODELS["tiny"], self.folder / "tiny-adapter")

    def _adapter(self, path: Path) -> None:
        shutil.copytree(self._tiny_adapter, path / "adapter")
        (path / "adapter" / "README.md").unlink(missing_ok=True)
        tokenizer = content.BUILTIN_MODELS["tiny"] / "tokenizer_config.json"
        shutil.copy(tokenizer, path / "adapter")
        (path / "with_adapter.yaml").write_text(
            "name: bad\nbase: builtin:tiny\ncandidates: [{name: theirs, adapter: adapter}]\n"
            "suites: [{name: arc_mini, limit: 3}]\n"
        )

    def _base(self, path: Path) -> None:
        model = path / "model"
        model.mkdir()
        for file in content.BUILTIN_MODELS["tiny"].iterdir():
            if file.suffix == ".safetensors":
                (model / file.name).symlink_to(file)
            elif file.is_file():
                shutil.copy(file, model)
        self._adapter(path)
        (path / "with_base.yaml").write_text(
            "name: bad\nbase: ./model\ncandidates: [{name: theirs, adapter: adapter}]\n"
            "suites: [{name: arc_mini, limit: 3}]\n"
        )

    def case(self, seed: int, number: int) -> tuple[BadCase, random.Random]:
        """Return a case by its number, and the draw that spoils its file."""
        draw = random.Random(f"{seed}:{number}")
        kinds = sorted(KINDS)
        return KINDS[kinds[number % len(kinds)]](draw), draw

    def carry_out(self, case: BadCase, draw: random.Random, *, real: bool = False) -> Outcome:
        """Spoil a copy of the files and run the command on it, here or as a command of its own."""
        folder = self.folder / "case"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.folder / "valid" / case.template, folder, symlinks=True)
        if case.spoilt:
            spoil(draw.choice(sorted(folder.glob(case.spoilt))), draw)
        before = dict(_contents(folder))
        if real:
            done = harness(*case.words, folder=folder)
            outcome = Outcome(case, done.returncode, done.stdout + done.stderr)
        else:
            outcome = _here(case, folder)
        outcome.faults += _faults(outcome, folder, before)
        return outcome


def _here(case: BadCase, folder: Path) -> Outcome:
    def stop(_: int, __: FrameType | None) -> None:
        raise HangError

    signals = (signal.SIGALRM, signal.SIGPROF)
    earlier = [signal.signal(each, stop) for each in signals]
    signal.alarm(6 * TIME_LIMIT)
    signal.setitimer(signal.ITIMER_PROF, TIME_LIMIT)
    try:
        done = harness_here(*case.words, folder=folder)
        return Outcome(case, done.returncode, done.stdout + done.stderr)
    except HangError:
        return Outcome(case, -1, "", [f"takes longer than {TIME_LIMIT} s"])
    finally:
        signal.alarm(0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        for each, handler in zip(signals, earlier, strict=True):
            signal.signal(each, handler)


def _contents(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode):
            yield str(path.relative_to(folder)), hashlib.sha256(path.read_bytes()).hexdigest()
        elif not stat.S_ISDIR(mode):
            yield str(path.relative_to(folder)), f"no file: {stat.S_IFMT(mode)}"


def _faults(outcome: Outcome, folder: Path, before: dict[str, str]) -> Iterator[str]:
    """Yield what a command did that it must never do."""
    said, code = outcome.said, outcome.code
    if code == -1:
        return
    if "Traceback (most recent call last)" in said or "an error that is ours" in said:
        yield "traceback"
    known = (0, 1, 2, 3, 4) if outcome.case.words[:1] and outcome.case.words[0] in VERDICTS else ()
    if code not in (known or (0, 2, 3)):
        yield f"exit code {code}"
    if code in (2, 3) and not re.search(
        r"^harness: |^Error: |^Usage: |verdict|invalid", said, re.MULTILINE
    ):
        yield "no sentence"
    if re.search("[\x00\x1b\u202e]", said):
        yield "raw control characters"
    after = dict(_contents(folder))
    may = outcome.case.outputs
    for name in sorted(before.keys() | after):
        if before.get(name) != after.get(name) and not name.startswith(may or ("\x00",)):
            yield f"changed {name}"
        elif name in after and name.endswith(".part"):
            yield f"left {name}"
    for name, digest in after.items():
        if name.startswith(may or ("\x00",)) and before.get(name) != digest:
            yield from _half_written(folder / name)


def _half_written(path: Path) -> Iterator[str]:
    if path.suffix not in (".json", ".jsonl"):
        return
    try:
        text = path.read_text(encoding="utf-8")
        for line in text.splitlines() if path.suffix == ".jsonl" else [text]:
            json.loads(line)
    except (OSError, ValueError, RecursionError):
        yield f"half-written {path.name}"


Maker = Callable[[random.Random], BadCase]


def _of_run(kind: str, spoilt: str, commands: Sequence[tuple[str, ...]]) -> Maker:
    written = (
        "run/report", "run/gate.json", "run/junit.xml", "run/review", "run/against_baseline",
        "new.jsonl", "out", "run/model_card", "run/hashes.json", "run/.in_use",
    )  # fmt: skip
    return lambda draw: BadCase(kind, "run", spoilt, draw.choice(commands), written)


_AFTERWARDS = (
    ("gate", "run"),
    ("report", "run"),
    ("gate", "run", "--baseline", "baseline.jsonl"),
    ("gate", "run", "--write-baseline", "new.jsonl", "--arm", "base"),
    ("review", "draw", "run", "--items", "2"),
    ("export", "run", "mixed", "-o", "out"),
    ("compare", "run/samples/base", "run/samples/mixed"),
)
_SHEET = "run/review/drawn/for_raters/rater-1/workbooks/sql-set-1"


def _of_scores(draw: random.Random) -> BadCase:
    more = draw.choice(((), ("--json", "out.json"), ("--margin", "0.1"), ("--metric", "score")))
    sides = draw.choice((("base.jsonl", "tuned.jsonl"), ("base.jsonl", "base.jsonl")))
    return BadCase("scores", "scores", "*.jsonl", ("compare", *sides, *more), ("out.json",))


def _of_lm_eval(draw: random.Random) -> BadCase:
    more = draw.choice(((), ("--json", "out.json"), ("--metric", "acc"), ("--filter", "none")))
    words = ("compare", "base", "tuned", *more)
    return BadCase("lm_eval", "lm_eval", "*/*.json*", words, ("out.json",))


def _of_answers(draw: random.Random) -> BadCase:
    suite = draw.choice(("qa", "choice", "coherence", "sql"))
    words = ("rate", suite, f"{suite}.jsonl", "-o", "out.jsonl")
    return BadCase("answers", "rate", f"{suite}.jsonl", words, ("out.jsonl",))


def _of_rows(draw: random.Random) -> BadCase:
    file = draw.choice(
        (
            *("question.jsonl", "messages.jsonl", "pair.jsonl", "kto.jsonl", "alpaca.jsonl"),
            *("text.jsonl", "list.json", "table.csv", "table.tsv", "words.txt"),
        )
    )
    return BadCase("rows", "rows", file, ("data", "show", file, "--rows", "1"))


def _of_study(draw: random.Random) -> BadCase:
    command = draw.choices((("plan", "study.yaml", "--no-probe"), ("plan", "study.yaml")), (9, 1))
    return BadCase("study", "study", "study.yaml", command[0])


def _of_suite_rows(draw: random.Random) -> BadCase:
    file = draw.choice(("qa.jsonl", "sql.jsonl", "train.jsonl"))
    return BadCase("suite_rows", "study", file, ("plan", "study.yaml", "--no-probe"))


def _of_adapter(_: random.Random) -> BadCase:
    words = ("plan", "with_adapter.yaml", "--no-probe")
    return BadCase("adapter", "adapter", "adapter/*", words)


def _of_base(_: random.Random) -> BadCase:
    return BadCase("base", "base", "model/*.json", ("plan", "with_base.yaml", "--no-probe"))


_OPTIONS = (
    "--margin", "--alpha", "--scale", "--metric", "--filter", "--json", "--out", "-o", "--db",
    "--rule", "--allow", "--items", "--raters", "--seed", "--baseline", "--write-baseline", "--arm",
    "--as", "--base", "--rows", "--query", "--force", "--until-decided", "--aa", "--nope",
    "--allow-identical", "--no-probe", "--version", "--lower-is-better",
)  # fmt: skip


def _of_words(draw: random.Random) -> BadCase:
    """Draw a command line of valid and invalid words, at which no model is asked."""
    valid = (
        ("compare", "base.jsonl", "tuned.jsonl"), ("gate", "."), ("report", "."), ("tasks",),
        ("rate", "qa", "base.jsonl", "-o", "out.jsonl"), ("review", "draw", "."),
        ("review", "collect", ".", "base.jsonl"), ("export", ".", "x", "-o", "out"),
        ("data", "show", "base.jsonl"), ("plan", "base.jsonl"), ("run", "base.jsonl"),
        ("init", "out.yaml"), ("train", "base.jsonl"), ("score", "base.jsonl"), ("chat", "."), (),
    )  # fmt: skip
    words = list(draw.choice(valid))
    for _ in range(draw.randint(1, 3)):
        wrong = draw.choice(WRONG)()
        value = str(wrong)[:2_000].replace("\x00", "").replace("\ud800", "?")
        value = value if not re.match(r"/|\.\.|~", value) else "nowhere/x"
        place = draw.randrange(len(words) + 1)
        match draw.choice(("option", "value", "replaced", "gone")):
            case "option":
                words[place:place] = [draw.choice(_OPTIONS), value]
            case "value":
                words.insert(place, value)
            case "replaced" if place < len(words):
                words[place] = value
            case "gone" if place < len(words):
                del words[place]
    anything = ("",)
    return BadCase("words", "scores", "", tuple(words), anything)


KINDS: dict[str, Maker] = {
    "lock": _of_run("lock", "run/study.lock.json", _AFTERWARDS),
    "lock again": _of_run("lock", "run/study.lock.json", _AFTERWARDS),
    "samples": _of_run("samples", "run/samples/*/*.jsonl", _AFTERWARDS),
    "samples again": _of_run("samples", "run/samples/*/*.jsonl", _AFTERWARDS),
    "baseline": _of_run(
        "baseline", "baseline.jsonl", [("gate", "run", "--baseline", "baseline.jsonl")]
    ),
    "key": _of_run(
        "key",
        "run/review/drawn/key.json",
        [("review", "collect", "run", f"{_SHEET}.csv"), ("review", "draw", "run", "--items", "4")],
    ),
    "csv sheet": _of_run("sheet", f"{_SHEET}.csv", [("review", "collect", "run", f"{_SHEET}.csv")]),
    "workbook": _of_run(
        "sheet", f"{_SHEET}.xlsx", [("review", "collect", "run", f"{_SHEET}.xlsx")]
    ),
    "transcript": _of_run("transcript", "run/chats/one.jsonl", [("review", "draw", "run")]),
    "scores": _of_scores,
    "lm_eval": _of_lm_eval,
    "answers": _of_answers,
    "answers again": _of_answers,
    "rows": _of_rows,
    "rows again": _of_rows,
    "study": _of_study,
    "study again": _of_study,
    "study once more": _of_study,
    "suite rows": _of_suite_rows,
    "adapter": _of_adapter,
    "base": _of_base,
    "words": _of_words,
    "words again": _of_words,
}
"""Kind -> what draws a case of it."""
