"""A finished run's candidates in use: talked to, put on raters' sheets, exported."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.command import harness, harness_here
from support.tiny_models import adapter

from harness import content, study
from harness.errors import ModelError, StudyError
from harness.pipeline.exported.export import export
from harness.pipeline.finished.chat import open_chat
from harness.pipeline.run import run_study
from harness.store.run_folder import RunFolder

pytestmark = pytest.mark.model

BASE = content.BUILTIN_MODELS["tiny"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of the built-in base with a LoRA and a prompt of virtual tokens."""
    from peft import LoraConfig, PromptTuningConfig

    folder = tmp_path_factory.mktemp("used")
    adapter(BASE, folder / "lora", LoraConfig(r=4, target_modules="all-linear"))
    adapter(
        BASE, folder / "virtual", PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4)
    )
    (folder / "study.yaml").write_text(
        yaml.safe_dump(
            {
                "name": "used",
                "base": "builtin:tiny",
                "candidates": [
                    {"name": "tuned", "adapter": "lora", "note": "a *strange* | note"},
                    {"name": "virtual", "adapter": "virtual"},
                ],
                "suites": [{"name": "arc_mini", "limit": 8}],
                "review": {"items_per_suite": 2},
            }
        )
    )
    run_study(study.load(folder / "study.yaml"), out=folder / "run")
    return folder / "run"


def logits_of(folder: Path, *, on: Path | None = None) -> Any:
    """Return the logits that a folder's model gives, or an adapter on its base."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(on or folder, dtype=torch.float32)
    if on is not None:
        model = PeftModel.from_pretrained(model, folder)
    ids = AutoTokenizer.from_pretrained(BASE)("Which planet is red?", return_tensors="pt")
    with torch.no_grad():
        return model.eval()(ids.input_ids).logits


def test_a_conversation_asks_every_arm_the_same(run: Path) -> None:
    """Each turn goes to all arms, and goes on with the answer of the arm that is kept."""
    heard: dict[str, str] = {}
    talk = open_chat(RunFolder(run))
    talk.continue_with = "base"

    def on_text(arm: str, piece: str) -> None:
        heard[arm] = heard.get(arm, "") + piece

    first = talk.send("I am Anna.", on_text=on_text, max_new_tokens=8)
    assert list(first) == ["base", "tuned", "virtual"]
    assert {arm: text.strip() for arm, text in heard.items()} == dict(first)
    talk.send("Who am I?", on_text=lambda *_: None, max_new_tokens=8)
    lines = [json.loads(line) for line in talk.transcript.read_text().splitlines()]
    assert [turn["content"] for turn in lines[1]["context"]] == [
        "I am Anna.",
        first["base"],
        "Who am I?",
    ]
    assert set(lines[1]["answers"]) == {"base", "tuned", "virtual"}


def test_a_greedy_answer_is_the_engines_own(run: Path) -> None:
    """What chat says to a prompt is what a suite would have got from it."""
    from harness.engine.reply import prompt_of
    from harness.records import ItemKey, Request
    from harness.suites.tokenize import Encoder

    talk = open_chat(RunFolder(run))
    said = talk.send("Name a planet.", on_text=lambda *_: None, max_new_tokens=12)
    tokenizer = talk.engine.tokenizer
    prompt = prompt_of(tokenizer, [{"role": "user", "content": "Name a planet."}])
    request = Request(
        kind="generate_until", item=ItemKey("chat", "none", "0", 0), index=0, context=prompt,
        continuation="", context_ids=tuple(Encoder(tokenizer).encode(prompt)),
        settings={"until": ["<|end|>"], "max_new_tokens": 12},
    )  # fmt: skip
    for arm in talk.arms:
        [[(_, response)]] = talk.engine.answer(arm, [request])
        assert (response.text or "").strip() == said[arm]


def test_what_was_said_can_be_rated(run: Path) -> None:
    """``chat`` in a pipe keeps the transcript, and ``review draw`` puts it on the sheets."""
    done = harness_here(
        "chat", str(run), "--max-new-tokens", "6",
        text="Hello!\n/keep tuned\n/keep nobody\n/new\nWhat is iron?\n/quit\n",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "tuned:" in done.stdout
    assert "arms: base, tuned, virtual" in done.stdout
    drawn = harness("review", "draw", str(run), "--items", "4", "--raters", "1")
    assert drawn.returncode == 0, drawn.stderr
    sheets = list((run / "review").glob("*/for_raters/*/workbooks/chat-*.csv"))
    assert sheets
    text = "".join(path.read_text() for path in sheets)
    assert "User: Hello!" in text or "User: What is iron?" in text


def test_an_exported_adapter_loads_on_its_base(run: Path, tmp_path: Path) -> None:
    """The copy gives the adapter's logits, names its base, and has a card with the scores."""
    import torch

    assert export(RunFolder(run), "tuned", tmp_path / "out").form == "adapter"
    original = logits_of(run.parent / "lora", on=BASE)
    assert torch.equal(logits_of(tmp_path / "out", on=BASE), original)
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "builtin:tiny"


def test_a_merged_model_answers_as_the_adapter_does(run: Path, tmp_path: Path) -> None:
    """Merging changes the form, not what is said, beyond the rounding of the stored weights."""
    import torch

    done = harness_here(
        "export",
        str(run),
        "tuned",
        "--out",
        str(tmp_path / "m"),
        "--as",
        "merged",
        "--license",
        "mit",
    )
    assert done.returncode == 0, done.stderr
    merged = logits_of(tmp_path / "m")
    expected = logits_of(run.parent / "lora", on=BASE)
    assert torch.allclose(merged, expected, atol=0.15)
    assert not torch.allclose(merged, logits_of(BASE), atol=0.15)


def test_the_card_is_true(run: Path, tmp_path: Path) -> None:
    """The hub's parser reads it, no base is named that is not there; its table is the gate's."""
    from huggingface_hub import ModelCard

    export(RunFolder(run), "tuned", tmp_path / "out", licence="apache-2.0")
    card = ModelCard.load(tmp_path / "out" / "README.md")
    assert card.data.license == "apache-2.0"
    assert card.data.library_name == "peft"
    assert card.data.base_model is None
    body = card.text
    gate = json.loads((run / "gate.json").read_text())
    check = next(c for c in gate["checks"] if c["candidate"] == "tuned")
    assert f"{100 * check['tuned']:.1f}%" in body
    assert "\\*strange\\* \\| note" in body
    assert "Nothing is known about abilities" in body


@pytest.mark.parametrize(
    ("candidate", "options", "error", "expected"),
    [
        ("tunned", {}, StudyError, "did you mean 'tuned'"),
        ("virtual", {"form": "merged"}, ModelError, "virtual tokens"),
        ("virtual", {"form": "8bit"}, ModelError, "virtual tokens"),
    ],
)
def test_what_cannot_be_exported_is_said(
    run: Path, tmp_path: Path, candidate: str, options: dict, error: type, expected: str
) -> None:
    """Each mistake is one sentence, and nothing is written."""
    with pytest.raises(error, match=expected):
        export(RunFolder(run), candidate, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_an_export_never_overwrites(run: Path, tmp_path: Path) -> None:
    """A folder with files is refused."""
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(StudyError, match="empty folder"):
        export(RunFolder(run), "tuned", tmp_path)


def test_a_moved_run_keeps_its_candidates(tmp_path: Path) -> None:
    """Weights trained in a run are found wherever it lies now; gone ones are named."""
    from harness.records import Arm

    folder = RunFolder(tmp_path / "moved")
    arm = Arm(name="mine", path="elsewhere/run/adapters/mine")
    with pytest.raises(StudyError, match="'mine' has none at elsewhere"):
        folder.weights(arm)
    folder.adapter("mine").mkdir(parents=True)
    (folder.adapter("mine") / "adapter_config.json").write_text("{}")
    assert folder.weights(arm) == folder.adapter("mine")
