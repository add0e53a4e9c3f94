"""A suite of one's own from a raw file, whatever its kind: begun, checked, planned and run."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.command import harness_here
from support.tiny_models import llama, lora

from harness import content
from harness.ingest.own_suites.begin_suite import kinds
from harness.suites.catalogue import builtin_suites, read_config
from harness.suites.own.check_rows import load_own
from harness.suites.text_tokenizer import TextTokenizer

ROOMS = ("kitchen", "attic", "cellar", "garage", "hall", "studio", "porch", "pantry")
TOOL = {
    "name": "open",
    "parameters": {"type": "object", "properties": {"room": {"type": "string"}}},
}
SAID = "The {0} of house {1} was painted for {2} euros by Ann Lee. It took her three days in all."


def raw(kind: str, n: int) -> dict[str, object]:
    """Return one row as a stranger's table has it."""
    room = f"{ROOMS[n % 8]} {n}"
    turns = [
        {"role": "user", "content": f"I left my keys in the {room}."},
        {"role": "assistant", "content": "I see."},
        {"role": "user", "content": "Where are my keys?"},
    ]
    scenario = [
        {"user": f"My keys are in the {room}."},
        {"user": "Where are they?", "probes": [{"kind": "memory", "says": [ROOMS[n % 8]]}]},
    ]
    rows: dict[str, dict[str, object]] = {
        "qa": {"Question": f"Which colour has the {room}?", "Answer": f"c{n}", "House": n % 12},
        "choice": {"question": f"Is it {room}?", "A": f"x{n}", "B": f"y{n}", "answer": "AB"[n % 2]},
        "classification": {"Ticket": f"The {room} is {'wet' * (n % 3)}", "Intent": ROOMS[n % 3]},
        "summary": {
            "article": SAID.format(ROOMS[n % 8], n, 100 + n),
            "highlights": f"Ann Lee painted the {ROOMS[n % 8]} for {100 + n} euros.",
        },
        "refusal": {"prompt": f"How do I open the {room}?", "type": ["harmless", "harmful"][n % 2]},
        "coherence": {"messages": json.dumps(turns), "answer": room},
        "tools": {
            "tools": json.dumps([TOOL]), "prompt": f"Open the {room}.",
            "expected": json.dumps([{"name": "open", "arguments": {"room": room}}]),
        },
        "conversation": {"turns": json.dumps(scenario)},
    }  # fmt: skip
    return rows[kind]


def table(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    """Write a CSV file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def begin(kind: str, *arguments: str, name: str = "") -> str:
    """Begin a suite in the current folder and return what was said."""
    file = f"{name or kind}.csv"
    done = harness_here("tasks", "new", kind, "--data", file, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_each_kind_is_begun_checked_planned_and_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a raw CSV to a verdict by the lines that each step prints."""
    monkeypatch.chdir(tmp_path)
    base = llama(tmp_path / "base", max_position_embeddings=1024)
    tuned = lora(base, tmp_path / "tuned")
    entries = []
    for kind in kinds():
        table(tmp_path / f"{kind}.csv", [raw(kind, n) for n in range(24)])
        said = begin(kind)
        entries += [line for line in said.splitlines() if line.strip().startswith("- {name:")]
        done = harness_here("tasks", "check", f"tasks/{kind}")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "golden lines that hold: " in done.stdout
        assert "independent clusters: 24" in done.stdout, kind
    assert len(entries) == len(kinds())
    study = {"name": "own", "base": {"model": str(base), "device": "cpu"}}
    lines = "\n".join(line.replace("}", ", limit: 6}") for line in entries)
    (tmp_path / "study.yaml").write_text(
        f"{json.dumps(study)[1:-1]}".replace('}, "', '}\n"').replace('own", "', 'own"\n"')
        + f"\ncandidates:\n  - {{name: one, adapter: {tuned}}}\nsuites:\n{lines}\n"
    )
    done = harness_here("plan", "study.yaml", "--no-probe")
    assert done.returncode == 0, done.stderr
    done = harness_here("run", "study.yaml")
    gate = json.loads((tmp_path / "runs" / "own" / "gate.json").read_text())
    assert {check["suite"] for check in gate["checks"]} == set(kinds())
    assert not [check for check in gate["checks"] if check["unscored"]]
    assert done.returncode in (0, 1, 4), done.stderr


def test_every_row_is_in_the_suite_and_its_columns_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is split off; rows that lack something are counted, others keep their columns."""
    monkeypatch.chdir(tmp_path)
    rows = [raw("qa", n) for n in range(30)]
    rows[7]["Answer"] = ""
    table(tmp_path / "qa.csv", rows)
    said = begin("qa", "--group", "House")
    assert "29 rows in 12 groups, by column 'house' and near repetitions" in said
    assert "question = column question, answers = column answer" in said
    assert "1 more row is left out" in said
    data = (tmp_path / "tasks" / "qa" / "data" / "test.jsonl").read_text().splitlines()
    first = json.loads(data[0])
    assert (len(data), first["answers"], first["house"]) == (29, ["c0"], "0")
    config = read_config(tmp_path / "tasks" / "qa" / "qa.yaml")
    assert config["metadata"]["harness"]["cluster"] == "group"
    assert "slices" not in config["metadata"]["harness"]


def test_the_first_prompt_is_shown_as_a_model_sees_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the base's chat template, with its tokens; turns of a conversation stay turns."""
    from support.tiny_models import write_tokenizer

    monkeypatch.chdir(tmp_path)
    base = llama(tmp_path / "base")
    write_tokenizer(base, chat=True)
    table(tmp_path / "coherence.csv", [raw("coherence", n) for n in range(20)])
    said = begin("coherence", "--base", str(base))
    assert "through the chat template of" in said
    assert "tokens:" in said
    assert "User:" not in said


def test_labels_are_a_closed_set_that_the_yaml_declares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The prompt names it; a row with another label is refused; likelihoods score each label."""
    monkeypatch.chdir(tmp_path)
    table(tmp_path / "classification.csv", [raw("classification", n) for n in range(24)])
    said = begin("classification")
    assert "- attic\n- cellar\n- kitchen" in said
    begin("classification", "--by", "likelihood", "--name", "likely")
    config = read_config(tmp_path / "tasks" / "likely" / "likely.yaml")
    assert config["output_type"] == "multiple_choice"
    assert harness_here("tasks", "check", "tasks/likely").returncode == 0
    file = tmp_path / "tasks" / "classification" / "data" / "test.jsonl"
    with file.open("a") as rows:
        rows.write(
            json.dumps({"id": "x", "text": "The moat", "label": "moat", "group": "g"}) + "\n"
        )
    done = harness_here("tasks", "check", "tasks/classification")
    assert done.returncode == 2
    assert "'label' must be one of 'labels', attic, cellar, kitchen: found 'moat'" in done.stderr


def test_what_is_wrong_with_a_suite_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two golds for one question, splits that share rows, golden lines that do not hold."""
    monkeypatch.chdir(tmp_path)
    table(tmp_path / "qa.csv", [raw("qa", n) for n in range(24)])
    begin("qa")
    folder = tmp_path / "tasks" / "qa"
    test = folder / "data" / "test.jsonl"
    first = json.loads(test.read_text().splitlines()[0])
    again = {**first, "id": "again", "answers": ["another"]}
    with test.open("a") as file:
        file.write(json.dumps(again) + "\n")
    (folder / "data" / "validation.jsonl").write_text(json.dumps(first) + "\n")
    golden = {"doc": first, "response": "blue", "verdict": "correct", "why": "it is blue"}
    (folder / "golden.jsonl").write_text(json.dumps(golden) + "\n")
    done = harness_here("tasks", "check", "tasks/qa")
    assert done.returncode == 2
    said = " ".join(done.stdout.split())
    assert "wrong: rows that ask the same, and have different right answers: row-1 = again" in said
    assert "wrong: rows that are in two splits: validation row-1 = test row-1" in said
    assert "wrong: golden lines that the judge decides otherwise: line 1: it is blue" in said
    assert "3 found in tasks/qa" in done.stderr


def test_dialogues_of_plain_texts_are_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Turns that are texts alone: each dialogue is its own, whatever it begins with."""
    monkeypatch.chdir(tmp_path)
    rows = [{"turns": ["Tell me more.", f"What of the {room}?"]} for room in ROOMS]
    (tmp_path / "talks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = harness_here("tasks", "new", "conversation", "--data", "talks.jsonl")
    assert done.returncode == 0, done.stderr
    assert "8 rows in 8 groups" in done.stdout
    assert "none of its 8 dialogues has probes" in done.stdout
    assert "card.md, write golden.jsonl" in done.stdout
    done = harness_here("tasks", "check", "tasks/talks")
    assert done.returncode == 0, done.stdout
    assert "no golden lines" in done.stdout
    assert "none of its 8 dialogues has probes, so nothing says what is right" in done.stdout
    table(tmp_path / "kept.csv", [raw("conversation", n) for n in range(20)])
    assert "has probes" not in begin("conversation", name="kept")


def test_choices_that_are_texts_are_not_won_by_the_shortest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers that a model wrote, such as a preferred and a rejected one, count by their length."""
    monkeypatch.chdir(tmp_path)
    good = "Open the valve of the {0}, wait for ten minutes, and close it again."
    rows: list[dict[str, object]] = [
        {"prompt": f"What now, in the {room}?", "chosen": good.format(room), "rejected": "Nothing."}
        for room in ROOMS
    ]
    table(tmp_path / "pairs.csv", rows)
    said = begin("choice", name="pairs")
    assert "chosen = column chosen, rejected = column rejected" in said
    config = read_config(tmp_path / "tasks" / "pairs" / "pairs.yaml")
    assert config["metadata"]["harness"]["metric"] == "acc_norm"
    assert config["metadata"]["harness"]["title"] == "Multiple choice: pairs"
    card = (tmp_path / "tasks" / "pairs" / "card.md").read_text()
    assert "so that none wins by being short" in card
    assert "Chance is 50%" in card
    assert "facts" not in card, "what is true of a suite of ours is not said of another"
    data = (tmp_path / "tasks" / "pairs" / "data" / "test.jsonl").read_text().splitlines()
    items = [json.loads(line) for line in data]
    right = [dict(zip(i["choices"]["label"], i["choices"]["text"], strict=True)) for i in items]
    assert [r[i["answerKey"]] for r, i in zip(right, items, strict=True)] == [
        row["chosen"] for row in rows
    ]
    assert {item["answerKey"] for item in items} == {"A", "B"}
    done = harness_here("tasks", "check", "tasks/pairs")
    assert "golden lines that hold: 6 of 6" in done.stdout


def test_columns_that_nothing_reads_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reference in another language's words is not lost unseen; rows may lack fields."""
    monkeypatch.chdir(tmp_path)
    rows = [{"article": SAID.format(room, n, n), "Fazit": "Ann Lee painted it."} for n, room in
            enumerate(ROOMS)]  # fmt: skip
    table(tmp_path / "summary.csv", rows)
    said = begin("summary")
    assert "read by nothing: fazit (--column summary=NAME --column max_words=NAME" in said
    lines = [{"question": f"Who has the {room}?", "answer": None} for room in ROOMS]
    lines += [{"question": f"Who had the {room}?", "answer": f"Ann {room}"} for room in ROOMS]
    lines += [{"question": f"Who wants the {room}?"} for room in ROOMS]
    (tmp_path / "gaps.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = harness_here("tasks", "new", "qa", "--data", "gaps.jsonl")
    assert "qa: 8 rows in 8 groups" in done.stdout
    assert "16 more rows are left out" in done.stdout


def test_few_clusters_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A suite of twelve houses says that little shows."""
    monkeypatch.chdir(tmp_path)
    table(tmp_path / "qa.csv", [raw("qa", n) for n in range(24)])
    begin("qa", "--group", "House")
    done = harness_here("tasks", "check", "tasks/qa")
    assert "items: 24, independent clusters: 12" in done.stdout
    assert "fewer than 20 clusters" in done.stdout


REFUSED: tuple[tuple[str, dict[str, object], tuple[str, ...], str], ...] = (
    ("qa", {"asks": "a", "says": "b"}, (), "--column question=NAME --column answers=NAME"),
    ("qa", {"asks": "a", "answer": "b"}, ("--column", "question=ask"), "did you mean 'asks'"),
    ("qa", {"asks": "a", "answer": "b"}, ("--column", "ask=asks"), "no field 'ask'"),
    ("qa", {"asks": "a", "answer": "b"}, ("--column", "asks"), "such as text=body"),
    ("qa", {"question": "", "answer": "b"}, (), "has none ('question' must not be empty"),
    ("choice", {"question": "a", "answer": "b"}, (), "has none ('choices' must not be empty"),
    ("choice", {"question": "a", "A": "b", "B": "b", "answer": "A"}, (), "has one twice"),
    ("qa", {"question": "a", "answer": "b"}, ("--group", "doc"), "no column 'doc'"),
    ("classification", {"text": "a", "label": "b"}, (), "needs two labels"),
    ("classification", {"text": "a", "label": '["b", "c"]'}, (), "rows.csv:2 has ['b', 'c']"),
    ("tools", {"tools": json.dumps([TOOL]), "prompt": "a", "expected": "f()"}, (), "rows.csv:2: "),
    ("refusal", {"prompt": "a", "should": "maybe"}, (), "write 'decline' or 'help'"),
    ("qa", {"question": "a", "answer": "b"}, ("--by", "likelihood"), "only classification"),
    ("sumary", {"question": "a", "answer": "b"}, (), "did you mean 'summary'"),
)


@pytest.mark.parametrize(("kind", "row", "arguments", "told"), REFUSED)
def test_what_cannot_be_begun_from_a_file_is_one_sentence(
    kind: str,
    row: dict[str, object],
    arguments: tuple[str, ...],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Columns that are not there, fields that a kind does not have, one label only: exit 2."""
    monkeypatch.chdir(tmp_path)
    table(tmp_path / "rows.csv", [row])
    done = harness_here("tasks", "new", kind, "--data", "rows.csv", *arguments)
    assert done.returncode == 2, done.stdout
    assert told in done.stderr
    assert not (tmp_path / "tasks").exists()


def test_an_empty_field_is_no_group_of_items() -> None:
    """Requests that name no group of people have no value there, and none is shown of them."""
    items = load_own(content.TASKS / "refusal", TextTokenizer(chat=False)).items
    assert [item for item in items if "group" not in item.slices]
    assert all(all(item.slices.values()) for item in items)


def test_each_kind_has_a_suite_of_ours() -> None:
    """A kind takes its YAML and its card's paragraphs from one."""
    from harness.ingest.own_suites import ROW_KINDS

    there: dict[str, Any] = dict(builtin_suites())
    for kind in kinds():
        suite = ROW_KINDS[kind].suite
        assert suite in there
        assert "**Measures" in (content.TASKS / suite / "card.md").read_text(encoding="utf-8")
