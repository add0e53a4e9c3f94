"""From examples to labels: what is shown, what is learnt, and that each answer ends once."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import DataError
from harness.records import Example, Message
from harness.study import BaseSection
from harness.training import RowTokenizer, TokenForm, TokenizedRows
from harness.training.rows.encode import IGNORED, encode, marked, text_spans

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def tokenizer(tiny_base: Path) -> Any:
    """Return the tiny base's tokenizer."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_base)


def text_row(prompt: str, completion: str) -> Example:
    """Return a plain-text example."""
    return Example(prompt=prompt, completion=completion, origin="rows.jsonl:1")


def chat_row(*turns: str, answers: int = 1) -> Example:
    """Return a conversation of alternating turns, the last ones learnt."""
    messages = tuple(
        Message(role="assistant" if i % 2 else "user", content=turn) for i, turn in enumerate(turns)
    )
    return Example(
        prompt=messages[:-answers], completion=messages[-answers:], origin="rows.jsonl:1"
    )


def shown(example: Example, tokenizer: Any, *, chat: bool = True) -> str:
    """Return one encoded row as text, with ⟦ ⟧ around what the loss is on."""
    (row,) = encode([example], tokenizer, chat=chat)
    return marked(text_spans(row, tokenizer))


def test_a_conversation_goes_through_the_template_and_ends_once(tokenizer: Any) -> None:
    """Only the last answer and its end-of-turn are learnt; the template's end is not doubled."""
    assert shown(chat_row("Hi", "Hello", "Who?", "A model."), tokenizer) == (
        "<|user|>Hi<|end|><|assistant|>Hello<|end|><|user|>Who?<|end|><|assistant|>"
        "⟦A model.<|end|>⟧"
    )


def test_every_answer_can_be_learnt(tokenizer: Any) -> None:
    """With TRL's assistant_only_loss all assistant turns are learnt, each with its end."""
    row = chat_row("Hi", "Hello", "Who?", "A model.")
    (encoded,) = encode([row], tokenizer, chat=True, every_answer=True)
    assert marked(text_spans(encoded, tokenizer)) == (
        "<|user|>Hi<|end|><|assistant|>⟦Hello<|end|>⟧<|user|>Who?<|end|><|assistant|>"
        "⟦A model.<|end|>⟧"
    )


@pytest.mark.parametrize("completion", ["Paris", "Paris<|end|>"])
def test_plain_text_ends_once(tokenizer: Any, completion: str) -> None:
    """The end is added where it is missing, and only there."""
    assert shown(text_row("Capital: ", completion), tokenizer) == "Capital: ⟦Paris<|end|>⟧"


def test_without_a_template_a_question_stays_as_it_is(tokenizer: Any) -> None:
    """A base without a chat template sees the question as lm-eval would show it."""
    assert shown(chat_row("Who?", "Me."), tokenizer, chat=False) == "Who?⟦ Me.<|end|>⟧"
    assert shown(chat_row("Hi", "Yes?", "Who?", "Me."), tokenizer, chat=False) == (
        "User: Hi\nAssistant: Yes?\nUser: Who?\nAssistant:⟦ Me.<|end|>⟧"
    )


def test_white_space_behind_the_end_of_a_turn_is_cut(tokenizer: Any) -> None:
    """ChatML writes a newline after each turn: generation stops before it."""
    import copy

    other = copy.deepcopy(tokenizer)
    other.chat_template = tokenizer.chat_template.replace("'<|end|>'", "'<|end|>\n'")
    assert shown(chat_row("Who?", "Me."), other).endswith("⟦Me.<|end|>⟧")


def test_a_template_that_asks_differently_is_followed_as_it_asks(tokenizer: Any) -> None:
    """Where a template opens a thought only when asking, the answer ends it where it is asked."""
    import copy

    other = copy.deepcopy(tokenizer)
    other.chat_template = tokenizer.chat_template.replace(
        "'<|assistant|>' }}{% endif %}", "'<|assistant|><think>' }}{% endif %}"
    )
    assert shown(chat_row("Who?", "Me."), other) == (
        "<|user|>Who?<|end|><|assistant|><think>⟦</think>\n\nMe.<|end|>⟧"
    )
    thought = "<think>\nIs it me?\n</think>\n\nMe."
    assert shown(chat_row("Who?", thought), other) == (
        "<|user|>Who?<|end|><|assistant|><think>⟦\nIs it me?\n</think>\n\nMe.<|end|>⟧"
    )


FAMILIES = {
    "llama3_1": "<|eot_id|>",
    "gemma3": "<end_of_turn>",
    "qwen2_5": "<|im_end|>",
    "qwen3": "<|im_end|>",
    "phi3": "<|end|>",
    "lfm2": "<|im_end|>",
}
"""Chat templates that TRL carries -> the token that ends a turn."""


@pytest.mark.parametrize("family", FAMILIES)
def test_the_templates_of_well_known_models_end_once(tokenizer: Any, family: str) -> None:
    """The answer is learnt with the template's own end of turn, and nothing of the prompt is."""
    import copy

    import trl

    other = copy.deepcopy(tokenizer)
    other.add_special_tokens({"extra_special_tokens": sorted({*FAMILIES.values()} - {"<|end|>"})})
    folder = Path(trl.__file__).parent / "chat_templates"
    other.chat_template = (folder / f"{family}.jinja").read_text(encoding="utf-8")
    (row,) = encode([chat_row("Hi", "Yo", "Who?", "Me.")], other, chat=True)
    whole = marked(text_spans(row, other))
    assert whole.count("⟦") == 1
    learnt = whole[whole.index("⟦") + 1 :]
    assert learnt.removesuffix("⟧").endswith(FAMILIES[family])
    assert "Me." + FAMILIES[family] in learnt
    assert "Who?" not in learnt


def test_a_template_that_refuses_a_role_names_the_row(tokenizer: Any) -> None:
    """Templates raise their own errors; the row that caused one is named."""
    import copy

    other = copy.deepcopy(tokenizer)
    other.chat_template = "{{ raise_exception('no system role') }}"
    with pytest.raises(DataError, match=r"refuses rows\.jsonl:1: no system role"):
        [*encode([chat_row("Who?", "Me.")], other, chat=True)]


@pytest.mark.parametrize("template_begins", [True, False])
def test_the_beginning_of_text_stands_once(tokenizer: Any, template_begins: bool) -> None:
    """Template or tokenizer writes it, never both: the prompt's ids are those of lm-eval's."""
    import copy

    from tokenizers.processors import TemplateProcessing

    other = copy.deepcopy(tokenizer)
    other.bos_token = "</s>"
    begin = TemplateProcessing(single="</s> $A", special_tokens=[("</s>", other.bos_token_id)])
    other.backend_tokenizer.post_processor = begin
    if template_begins:
        other.chat_template = "</s>" + tokenizer.chat_template
    assert shown(chat_row("Who?", "Me."), other) == (
        "</s><|user|>Who?<|end|><|assistant|>⟦Me.<|end|>⟧"
    )
    assert shown(text_row("Who?", " Me."), other) == "</s>Who?⟦ Me.<|end|>⟧"


def test_rows_that_are_too_long_are_left_out_and_counted(tiny_base: Path) -> None:
    """A few long rows are told; many are an error that names the first."""
    tokenizer = RowTokenizer(str(tiny_base), BaseSection(model=str(tiny_base)))
    rows = [text_row("a", "b")] * 19 + [text_row("a" * 50, "b")]
    tokenized = TokenizedRows(rows, tokenizer)
    encoded = tokenized.within(TokenForm(max_length=20))
    assert (len(encoded.rows), encoded.too_long, encoded.longest) == (19, 1, 52)
    assert encoded.notes == ("1 of 20 rows are longer than 20 tokens and left out",)
    with pytest.raises(DataError, match=r"rows\.jsonl:1 has 52 tokens"):
        tokenized.within(TokenForm(max_length=20), range(15, 20))
    assert len(tokenized.within(TokenForm(max_length=60)).rows) == 20


def test_an_empty_prompt_still_has_something_before_the_answer(tokenizer: Any) -> None:
    """The first learnt token needs a token to be predicted from."""
    (row,) = encode([text_row("", "abc")], tokenizer, chat=True)
    assert row.labels[0] == IGNORED
    assert row.learnt == 4


@settings(max_examples=50, deadline=None)
@given(prompt=st.text(max_size=30), completion=st.text(min_size=1, max_size=30))
def test_every_row_keeps_its_prompt_and_learns_its_answer(
    tokenizer: Any, prompt: str, completion: str
) -> None:
    """The prompt's ids are those that the model is asked with; the answer is learnt to its end."""
    (row,) = encode([text_row(prompt, completion)], tokenizer, chat=True)
    asked = tokenizer(prompt)["input_ids"]
    assert list(row.input_ids[: len(asked)]) == asked
    learnt = [label for label in row.labels if label != IGNORED]
    assert learnt[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(learnt[:-1]) == completion or completion.rstrip().endswith("<|end|>")
    assert [label for label in row.labels if label != IGNORED] == list(
        row.input_ids[len(row.labels) - len(learnt) :]
    )
