"""A stranger's chat templates and patterns end in time, in memory and in one sentence."""

from pathlib import Path
from typing import Any

import pytest
from support.tiny_models import llama, write_tokenizer

from harness.errors import ModelError, StudyError
from harness.models import bounds
from harness.models.adapter_folder import read_adapter_folder
from harness.models.bounds import check_patterns
from harness.models.load_model import base_section, load_tokenizer

pytestmark = pytest.mark.model

TURNS = [{"role": "user", "content": "w5 w6"}]
NAMES = [f"model.layers.{layer}.self_attn.q_proj" for layer in range(40)]

BOMBS = {
    "a gigabyte": '{{ "a" * 1000000000 }}',
    "loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "doubled": '{% set n = namespace(x="ab") %}{% for a in range(60) %}'
    "{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x }}",
    "padded": '{{ "%2000000000d" % 1 }}',
    "centered": '{{ "a"|center(99999999999) }}',
    "a list": "{{ [0] * 10**12 }}",
    "replaced": '{{ "x"|replace("", "y"*100000)|replace("", "y"*100000) }}',
    "a tower": "{{ 10**(10**9) % 7 }}",
    "many pieces": '{% for a in range(99999) %}{{ "a" * 1000 }}{% endfor %}',
    "deep": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "recursion": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "a large range": "{{ range(10**9)|list|length }}",
}


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a tokenizer whose template a test may change."""
    folder = tmp_path_factory.mktemp("words")
    write_tokenizer(folder, chat=True)
    return load_tokenizer(str(folder), base_section(str(folder)))


@pytest.mark.parametrize("template", BOMBS.values(), ids=BOMBS)
def test_a_template_ends_in_one_sentence(
    words: Any, template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it computes, it is ended by a limit of time, memory or size."""
    monkeypatch.setattr(bounds, "SECONDS", 0.3)
    words.chat_template = template
    with pytest.raises(
        ModelError, match=r"a chat template must (lay a conversation|write at most)"
    ):
        words.apply_chat_template(TURNS, tokenize=False)


def test_an_ordinary_template_is_as_it_was(words: Any, tmp_path: Path) -> None:
    """The limits change nothing, also where a tokenizer is copied or saved."""
    import signal
    from copy import deepcopy

    words.chat_template = "{% for m in messages %}{{ m['content'] }} w9 {% endfor %}"
    before = signal.getsignal(signal.SIGVTALRM)
    for tokenizer in (words, deepcopy(words)):
        assert tokenizer.apply_chat_template(TURNS, tokenize=False) == "w5 w6 w9 "
    assert signal.getsignal(signal.SIGVTALRM) == before
    words.save_pretrained(tmp_path)
    saved = load_tokenizer(str(tmp_path), base_section(str(tmp_path)))
    assert saved.apply_chat_template(TURNS, tokenize=False) == "w5 w6 w9 "


@pytest.mark.parametrize("template", ["{{ messages.__class__.__mro__ }}", "{% include '/x' %}"])
def test_a_template_reaches_nothing(words: Any, template: str) -> None:
    """Jinja's sandbox keeps templates from Python's insides and from files."""
    words.chat_template = template
    with pytest.raises(Exception, match=r"unsafe|no loader"):
        words.apply_chat_template(TURNS, tokenize=False)


@pytest.mark.parametrize(
    "config",
    [
        {"target_modules": r"(.*)*x"},
        {"exclude_modules": r"([a-z._0-9]+)+!"},
        {"layers_to_transform": [0], "layers_pattern": r"(.*)*x"},
        {"rank_pattern": {r"([a-z._0-9]+)+!": 4}},
        {"alpha_pattern": {r"([\w.]+)+!": 4}},
    ],
)
def test_a_pattern_that_takes_forever_is_refused(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Patterns are tried in a process that can be ended, before PEFT tries them here."""
    monkeypatch.setattr(bounds, "SECONDS", 0.5)
    with pytest.raises(ModelError, match=r"patterns of module names must be tried in 0\.5 seconds"):
        check_patterns(config, NAMES, where="it")


@pytest.mark.parametrize(
    "config",
    [
        {"target_modules": r".*\.layers\.\d+\.self_attn\.(q|v)_proj$"},
        {"target_modules": ["q_proj", "v_proj"], "rank_pattern": {"layers.[0-3].*": 4}},
        {"target_modules": "all-linear", "layers_pattern": None, "alpha_pattern": {}},
        {"target_modules": "((("},
    ],
)
def test_usual_patterns_are_let_through(config: dict[str, Any]) -> None:
    """What PEFT's own examples use takes no time."""
    check_patterns(config, NAMES, where="it")


def test_a_study_s_pattern_is_tried_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of a training are as bounded as an adapter's configuration."""
    from harness.study import CandidateSection
    from harness.training.trl.compatibility import check_fits, outline

    monkeypatch.setattr(bounds, "SECONDS", 0.5)
    base = base_section(str(llama(tmp_path / "base")))
    candidate = CandidateSection(
        name="a", train="rows.jsonl", settings={"target_modules": r"([a-z._0-9]+)+!"}
    )
    with pytest.raises((ModelError, StudyError), match="the study has"):
        check_fits(candidate, model=outline(base.model, base), base=base)


def test_an_adapter_s_pattern_is_tried_before_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hostile adapter_config ends in one sentence, named by its folder."""
    import json

    from support.tiny_models import lora

    from harness.engine.open import load_engine

    base = llama(tmp_path / "base")
    folder = lora(base, tmp_path / "adapter")
    config = json.loads((folder / "adapter_config.json").read_text())
    config["target_modules"] = r"(([a-z._0-9]+)+!|.*_proj)"
    (folder / "adapter_config.json").write_text(json.dumps(config))
    assert read_adapter_folder(folder).kind == "LORA"
    monkeypatch.setattr(bounds, "SECONDS", 0.5)
    with pytest.raises(ModelError, match=rf"{folder.name} has .*takes longer"):
        load_engine(str(base)).attach("tuned", folder)
