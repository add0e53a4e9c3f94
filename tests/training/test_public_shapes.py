"""Rows of public datasets: what is learnt, shown and read back from tokens, or refused by name."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.corpus import Cleaning
from harness.errors import DataError
from harness.ingest import Unlearnt, iter_examples
from harness.training import check_rows
from harness.training.rows.encode import IGNORED, encode, marked, text_spans

pytestmark = pytest.mark.model

U, A, S, E = "<|user|>", "<|assistant|>", "<|system|>", "<|end|>"

ASK = {"role": "user", "content": "Who?"}
SAY = {"role": "assistant", "content": "Me."}
BAD = {"role": "assistant", "content": "It."}
CALL = {"function": {"name": "add", "arguments": '{"a": 1}'}, "type": "function"}
TALK = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo"}, ASK, SAY]


def turns(*said: dict[str, Any]) -> dict[str, Any]:
    """Return a row of turns."""
    return {"messages": list(said)}


LEARNT: dict[str, tuple[dict[str, Any], str, set[str]]] = {
    "alpaca": (
        {
            "instruction": "Who?",
            "input": "Here.",
            "output": "Me.",
            "system": "Be brief.",
            "history": [["Hi", "Yo"]],
            "id": 7,
        },
        f"{S}Be brief.{E}{U}Hi{E}{A}Yo{E}{U}Who?\n\nHere.{E}{A}⟦Me.{E}⟧",
        {"id"},
    ),
    "chatglm": (
        {"prompt": "Who?", "response": "Me.", "history": [["Hi", "Yo"]]},
        f"{U}Hi{E}{A}Yo{E}{U}Who?{E}{A}⟦Me.{E}⟧",
        set(),
    ),
    "sharegpt": (
        {
            "conversations": [{"from": "human", "value": "Who?"}, {"from": "gpt", "value": "Me."}],
            "system": "Be brief.",
            "source": "web",
        },
        f"{S}Be brief.{E}{U}Who?{E}{A}⟦Me.{E}⟧",
        {"source"},
    ),
    "oasst": (
        {
            "messages": [
                {"role": "prompter", "content": "Who?", "message_id": "a"},
                {"role": "assistant", "content": "Me.", "message_id": "b"},
            ]
        },
        f"{U}Who?{E}{A}⟦Me.{E}⟧",
        {"messages[].message_id"},
    ),
    "dolly": (
        {"instruction": "Who?", "context": "Here.", "response": "Me.", "category": "open_qa"},
        f"{U}Who?\n\nHere.{E}{A}⟦Me.{E}⟧",
        {"category"},
    ),
    "kto": (
        {"prompt": "Who?", "completion": " It.", "label": False},
        f"Who?⟦ It.{E}⟧ (to be said less: label is false)",
        set(),
    ),
    "kto in turns": (
        {"prompt": [ASK], "completion": [SAY], "label": 1},
        f"{U}Who?{E}{A}⟦Me.{E}⟧",
        set(),
    ),
    "a class is no judgement": (
        {"question": "Who?", "answer": "Me.", "label": 0},
        f"{U}Who?{E}{A}⟦Me.{E}⟧",
        {"label"},
    ),
    "ultrafeedback": (
        {
            "prompt": "Who?",
            "messages": [ASK, SAY],
            "chosen": [ASK, SAY],
            "rejected": [ASK, BAD],
            "score_chosen": 8.0,
        },
        f"{U}Who?{E}{A}⟦Me.{E}⟧ rather than ⟦It.{E}⟧",
        {"score_chosen"},
    ),
    "a pair with its context": (
        {"question": "Who?", "context": "Here.", "chosen": "Me.", "rejected": "It."},
        f"{U}Here.\n\nWho?{E}{A}⟦Me.{E}⟧ rather than ⟦It.{E}⟧",
        set(),
    ),
    "orca pairs": (
        {"system": "Be brief.", "input": "Who?", "chosen": "Me.", "rejected": "It."},
        f"{S}Be brief.{E}{U}Who?{E}{A}⟦Me.{E}⟧ rather than ⟦It.{E}⟧",
        set(),
    ),
    "llama-factory pairs": (
        {
            "conversations": [{"from": "human", "value": "Who?"}],
            "chosen": {"from": "gpt", "value": "Me."},
            "rejected": {"from": "gpt", "value": "It."},
        },
        f"{U}Who?{E}{A}⟦Me.{E}⟧ rather than ⟦It.{E}⟧",
        set(),
    ),
    "text with a system turn": (
        {"prompt": "Who?", "completion": "Me.", "system": "Be brief."},
        f"{S}Be brief.{E}{U}Who?{E}{A}⟦Me.{E}⟧",
        set(),
    ),
    "a system turn beside messages": (
        {**turns(ASK, SAY), "system": "Be brief."},
        f"{S}Be brief.{E}{U}Who?{E}{A}⟦Me.{E}⟧",
        set(),
    ),
    "options": (
        {"question": "Who?", "answer": "Me.", "options": ["Me.", "It."], "evidence": "x"},
        f"{U}Who?{E}{A}⟦Me.{E}⟧",
        {"options", "evidence"},
    ),
    "content in parts": (
        turns({"role": "user", "content": [{"type": "text", "text": "Who?"}]}, SAY),
        f"{U}Who?{E}{A}⟦Me.{E}⟧",
        set(),
    ),
    "a masked last answer": (
        turns(*TALK[:2], ASK, {**SAY, "weight": 0}),
        f"{U}Hi{E}{A}⟦Yo{E}⟧",
        set(),
    ),
    "an earlier answer that is to be learnt": (
        turns(TALK[0], {**TALK[1], "train": True}, ASK, SAY),
        f"{U}Hi{E}{A}⟦Yo{E}⟧{U}Who?{E}{A}⟦Me.{E}⟧",
        set(),
    ),
    "nothing in optional fields": (
        {"instruction": "Who?", "input": float("nan"), "output": "Me.", "system": None},
        f"{U}Who?{E}{A}⟦Me.{E}⟧",
        set(),
    ),
    "an end that is no end of text": (
        {"prompt": "Who?", "completion": " Me.</s>"},
        f"Who?⟦ Me.</s>{E}⟧",
        set(),
    ),
}
"""Dataset -> a row, what is learnt of it by the tiny base, and the columns that are not."""

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a tool call": (turns(ASK, {"role": "assistant", "tool_calls": [CALL]}), "'tool_calls'"),
    "reasoning": (turns(ASK, {**SAY, "reasoning_content": "Hm."}), "'reasoning_content'"),
    "thinking": (turns(ASK, {**SAY, "thinking": "Hm."}), "'thinking'"),
    "declared tools": ({**turns(ASK, SAY), "tools": '[{"name": "add"}]'}, "'tools'"),
    "an old call": (turns(ASK, {**SAY, "function_call": {"name": "f"}}), "'function_call'"),
    "an image": ({"question": "Who?", "answer": "Me.", "image": "a.png"}, "'image'"),
    "images": ({**turns(ASK, SAY), "images": ["a.png"]}, "'images'"),
    "a part that is no text": (
        turns({"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}, SAY),
        "a part of type 'image_url'",
    ),
    "a message of a tree": ({"text": "Me.", "role": "assistant", "parent_id": "a"}, "'messages'"),
    "a weight between": ({"question": "Who?", "answer": "Me.", "weight": 0.5}, "'weight' must be"),
    "a weight of a turn": (turns(ASK, {**SAY, "weight": 2}), "'weight' must be 0 or 1"),
    "a user turn to learn": (turns({**ASK, "train": True}, SAY), "only assistant turns"),
    "nan": ({"question": "Who?", "answer": float("nan")}, "'answer' must not be empty"),
    "nan in a turn": (
        turns(ASK, {"role": "assistant", "content": float("nan")}),
        "must not be empty",
    ),
    "another model's end": ({"prompt": "Who?", "completion": "Me.<|im_end|>"}, "'<|im_end|>'"),
    "another's end in a turn": (turns(ASK, {**SAY, "content": "Me.<|eot_id|>"}), "'<|eot_id|>'"),
    "two system turns": (
        {**turns({"role": "system", "content": "A"}, ASK, SAY), "system": "B"},
        "one system turn",
    ),
    "a pair beside other messages": (
        {**turns(TALK[0], SAY), "chosen": [ASK, SAY], "rejected": [ASK, BAD]},
        "must be its prompt or its chosen conversation",
    ),
    "a pair of another prompt": (
        {"prompt": "What?", "chosen": [ASK, SAY], "rejected": [ASK, BAD]},
        "'prompt' must be what chosen and rejected answer",
    ),
    "history that is none": ({"question": "Who?", "answer": "Me.", "history": ["a"]}, "pairs"),
    "all rows off": ({"question": "Who?", "answer": "Me.", "train": False}, "all 1 of"),
}
"""Dataset -> a row, and what the sentence names that refuses it."""


@pytest.fixture(scope="module")
def tokenizer(tiny_base: Path) -> Any:
    """Return the tiny base's tokenizer."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_base)


def learnt(tokenizer: Any, path: Path, *rows: dict[str, Any], **how: bool) -> tuple[list[str], Any]:
    """Return rows as text, with ⟦ ⟧ around what the loss is on, and what is not learnt of them."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    unlearnt = Unlearnt()
    examples = [example for _, example in iter_examples(path, unlearnt=unlearnt)]
    found = []
    for row in encode(Cleaning().rows(examples), tokenizer, chat=True, **how):
        found.append(marked(text_spans(row, tokenizer)))
        said = [i for i, label in enumerate(row.labels) if label != IGNORED]
        assert [row.labels[i] for i in said] == [row.input_ids[i] for i in said]
        assert row.input_ids[said[-1]] == tokenizer.eos_token_id
    return found, unlearnt


@pytest.mark.parametrize("name", LEARNT)
def test_a_public_row_is_learnt_as_it_says(tokenizer: Any, tmp_path: Path, name: str) -> None:
    """Every field is learnt from, given to the template, or named as ignored."""
    row, expected, ignored = LEARNT[name]
    (found,), unlearnt = learnt(tokenizer, tmp_path / "rows.jsonl", row)
    assert found == expected
    assert unlearnt.ignored == dict.fromkeys(ignored, 1)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_learnt_as_it_says_is_refused(
    tokenizer: Any, tmp_path: Path, name: str
) -> None:
    """The sentence names the row and the field."""
    row, expected = REFUSED[name]
    with pytest.raises(DataError, match=r"rows\.jsonl") as caught:
        learnt(tokenizer, tmp_path / "rows.jsonl", row)
    assert expected in str(caught.value)


def qwen(tokenizer: Any, family: str = "qwen3") -> Any:
    """Return the tiny tokenizer with a template that shows tools and thoughts."""
    import trl

    other = copy.deepcopy(tokenizer)
    other.add_special_tokens({"extra_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    other.eos_token = "<|im_end|>"
    folder = Path(trl.__file__).parent / "chat_templates"
    other.chat_template = (folder / f"{family}.jinja").read_text(encoding="utf-8")
    return other


def test_a_template_that_shows_calls_and_thoughts_gets_them(tokenizer: Any, tmp_path: Path) -> None:
    """Reasoning, calls, tools and their results are in the text; the answer's own are learnt."""
    tools = [{"type": "function", "function": {"name": "add", "parameters": {}}}]
    call = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    thought = {**SAY, "reasoning_content": "So it is me."}
    row = {**turns(ASK, call, {"role": "tool", "content": "2"}, thought), "tools": tools}
    (found,), unlearnt = learnt(qwen(tokenizer), tmp_path / "rows.jsonl", row)
    read, _, said = found.partition("⟦")
    assert '"name": "add", "parameters"' in read
    assert '{"name": "add", "arguments": {"a": 1}}' in read, "arguments are JSON, not JSON in text"
    assert "<tool_response>\n2\n</tool_response>" in read
    assert said == "<think>\nSo it is me.\n</think>\n\nMe.<|im_end|>⟧"
    assert not unlearnt.ignored
    (asking,), _ = learnt(qwen(tokenizer), tmp_path / "rows.jsonl", turns(ASK, call))
    assert "⟦<think>" in asking or "⟦<tool_call>" in asking
    assert asking.endswith("</tool_call><|im_end|>⟧") or "</tool_call>\n<|im_end|>⟧" in asking


def test_every_answer_is_found_where_the_template_rewrites_it(
    tokenizer: Any, tmp_path: Path
) -> None:
    """Qwen3 writes thoughts before the last answer only: earlier ones are learnt as they stand."""
    (found,), _ = learnt(qwen(tokenizer), tmp_path / "a.jsonl", turns(*TALK), every_answer=True)
    assert "assistant\n⟦Yo<|im_end|>⟧\n<|im_start|>user" in found
    assert found.endswith("Me.<|im_end|>⟧")
    masked = turns(TALK[0], {**TALK[1], "masked": True}, ASK, SAY)
    (found,), _ = learnt(qwen(tokenizer), tmp_path / "a.jsonl", masked, every_answer=True)
    assert "⟦Yo" not in found


def test_every_answer_is_found_without_the_templates_end_token(
    tokenizer: Any, tmp_path: Path
) -> None:
    """ChatML on a tokenizer that has no such tokens: earlier answers are learnt all the same."""
    other = copy.deepcopy(tokenizer)
    other.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    (found,), _ = learnt(other, tmp_path / "a.jsonl", turns(*TALK), every_answer=True)
    assert "<|im_start|>assistant\n⟦Yo<|im_end|>" in found
    assert found.endswith(f"<|im_start|>assistant\n⟦Me.<|im_end|>\n{E}⟧")


def test_without_a_template_earlier_answers_are_refused(tokenizer: Any, tmp_path: Path) -> None:
    """A transcript does not tell where they end, and tools have no place in it."""
    path = tmp_path / "a.jsonl"
    for row, every in ((turns(*TALK), True), (turns(ASK, {**SAY, "thinking": "Hm."}), False)):
        path.write_text(json.dumps(row), encoding="utf-8")
        examples = [example for _, example in iter_examples(path)]
        with pytest.raises(DataError, match=r"a\.jsonl:1"):
            [*encode(examples, tokenizer, chat=False, every_answer=every)]


def test_a_template_that_drops_the_system_turn_is_told(tokenizer: Any, tmp_path: Path) -> None:
    """A turn that the model would never see is no part of what it learns from."""
    other = copy.deepcopy(tokenizer)
    other.chat_template = (
        "{% for m in messages if m['role'] != 'system' %}<|{{ m['role'] }}|>{{ m['content'] }}"
        "<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
    )
    row = {**turns(ASK, SAY), "system": "Be brief."}
    with pytest.raises(DataError, match="does not show turn 1, of role 'system'"):
        learnt(other, tmp_path / "a.jsonl", row)


ROW = {"question": "Who?", "answer": "Me.", "id": 1}


def test_rows_that_say_so_are_left_out_and_counted(tokenizer: Any, tmp_path: Path) -> None:
    """``train: false``, ``weight: 0`` and ``masked: true`` leave a row out."""
    off: list[dict[str, Any]] = [{"train": False}, {"weight": 0}, {"masked": True}, {"weight": "0"}]
    rows = [{**ROW, **flag} for flag in [*off, {"train": True}, {"weight": 1.0}]]
    found, unlearnt = learnt(tokenizer, tmp_path / "rows.jsonl", *rows)
    assert len(found) == 2
    assert [int(origin.rpartition(":")[2]) for origin in unlearnt.rows] == [1, 2, 3, 4]
    assert unlearnt.ignored == {"id": 6}


def test_the_command_shows_the_same(tmp_path: Path) -> None:
    """``data show`` names ignored columns and rows left out, and marks what is learnt."""
    rows = [ROW, {**ROW, "train": False}, {**ROW, "question": "What?", "tag": "x"}]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    done = CliRunner().invoke(app, ["data", "show", str(path)])
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    assert "3 rows, of which 2 would be learnt" in said
    assert "not learnt from id 3 rows" in said
    assert "not learnt from tag 1 rows" in said
    assert "dropped not to be learnt, by its own flag 1 rows rows.jsonl:2" in said
    assert f"Who?{E}{A}⟦Me.{E}⟧" in said


def test_a_judged_answer_is_for_kto(tmp_path: Path) -> None:
    """KTO learns what not to say; sft would learn to say it, and dpo needs both."""
    rows = [{"prompt": "Who?", "completion": c, "label": c == "Me."} for c in ("Me.", "It.")]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    examples = [example for _, example in iter_examples(path)]
    assert [example.desirable for example in examples] == [True, False]
    check_rows("kto", examples)
    check_rows("sft", examples[:1])
    with pytest.raises(DataError, match=r"'label: false' calls undesirable: .*rows\.jsonl:2"):
        check_rows("sft", examples)
    with pytest.raises(DataError, match="learns from preference pairs"):
        check_rows("dpo", examples)
