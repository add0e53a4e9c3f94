"""Where a thought ends and an answer begins, in the marks of each family; and where none is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.thoughts import FORMS, closes_thought, knows_thoughts, opened_by, split_thought

HARMONY = "<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>final<|message|>{}"
FAMILIES = {
    "Qwen3, DeepSeek-R1, GLM": "<think>\n{}\n</think>\n\n{}",
    "in capitals": "<THINK>{}</THINK>{}",
    "EXAONE Deep": "<thought>\n{}\n</thought>\n\n{}",
    "GRPO's habit": "<reasoning>{}</reasoning>\n{}",
    "Seed-OSS": "<seed:think>{}</seed:think>{}",
    "Magistral": "[THINK]{}[/THINK]{}",
    "Gemma 4": "<|channel>thought\n{}\n<channel|>{}",
    "MedGemma": "<unused94>thought\n{}<unused95>{}",
    "Command A": "<|START_THINKING|>{}<|END_THINKING|><|START_RESPONSE|>{}<|END_RESPONSE|>",
    "Sky-T1": "<|begin_of_thought|>{}<|end_of_thought|>\n\n"
    "<|begin_of_solution|>{}<|end_of_solution|>",
    "Granite 3.2": "Here is my thought process:\n{}\nHere is my response:\n{}",
    "Granite 3.2, in short": "Here's my thought process:\n{}\nHere's my response:\n{}",
    "Hunyuan A13B": "<think>\n{}\n</think>\n<answer>\n{}\n</answer>",
    "Reflection": "<thinking>{}</thinking>\n<output>\n{}\n</output>",
    "an answer whose frame was cut": "<think>{}</think><answer>{}",
    "with the turn's end": "<think>{}</think>\n\n{}<|im_end|>\n",
    "Solar Open": "<|think|>{}<|end|><|begin|>assistant<|content|>{}<|end|>",
    "MiniMax M3": "<mm:think>{}</mm:think>{}",
    "openPangu": "[unused16]{}[unused17]{}[unused10]",
    "Granite 3.3": "<think>{}</think><response>{}</response>",
    "Kimi-VL": "◁think▷{}◁/think▷{}",
    "gpt-oss": HARMONY,
    "gpt-oss, ended": HARMONY + "<|return|>",
    "gpt-oss, no special tokens": "analysis{}assistantfinal{}",
    "two thoughts": "<think>{}</think>\n<think></think>\n{}",
}
MENTIONS = [
    "SELECT '<think>a</think>' AS tag FROM pages",
    "Put it between <think> and </think>.\nThat is all.",
    "`<think>` opens and `</think>` closes.",
    "```html\n<think>\na\n</think>\n```",
    "```\n</think>\n```\nis how it ends.",
    "The tag is </think>",
    "Models write\n<think>\nhm\n</think>\nand then answer.",
    "analysis of variance, then the final one",
    "assistantfinal",
    "[THINKING] is no mark",
    "",
    "   ",
]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_split(family: str) -> None:
    """The answer is what follows the thought, without the marks around either."""
    found = split_thought(FAMILIES[family].format("Is it Rome?", "Vienna"))
    assert (found.thought, found.answer, found.closed) == ("Is it Rome?", "Vienna", True)


def test_a_frame_is_taken_off_after_a_thought_alone() -> None:
    """An answer that was asked for in tags, of a model that does not think, keeps them."""
    framed = "<answer>Vienna</answer>"
    assert split_thought(framed).answer == framed
    half = "<answer>Vienna</answer> is in Austria."
    assert split_thought(f"<think>a</think>{half}").answer == half


def test_a_quoted_opening_in_a_thought_opens_no_other() -> None:
    """The thought ends at its first end, though it speaks of a tag and so does the answer."""
    found = split_thought("<think>About `<think>`.</think>It ends with </think>, always.")
    assert found.answer == "It ends with </think>, always."


def test_messages_of_one_thought_are_lines() -> None:
    """The marks between two of harmony's messages leave a border behind."""
    mark = "<|end|><|start|>assistant<|channel|>analysis<|message|>"
    assert split_thought(HARMONY.format(f"One.{mark}Two.", "Yes")).thought == "One.\nTwo."


def test_a_turn_end_of_other_families_is_no_sign_of_thoughts() -> None:
    """Phi's template ends turns with a mark that Solar Open's thoughts end with, too."""
    assert not knows_thoughts("{{ '<|assistant|>' }}{{ message.content }}<|end|>")


@pytest.mark.parametrize("text", MENTIONS)
def test_an_answer_that_mentions_a_tag_stays_whole(text: str) -> None:
    """A thought stands before the first word of an answer, and nowhere else."""
    found = split_thought(text)
    assert (found.thought, found.answer) == (None, text)


@pytest.mark.parametrize("form", [form for form in FORMS if form.sure], ids=lambda f: f.opening)
def test_a_thought_without_end_has_no_answer(form: object) -> None:
    """The limit cut it, or the model ended inside of it."""
    assert isinstance(form, type(FORMS[0]))
    found = split_thought(f"{form.opening} It is Vienna, I would")
    assert (found.answer, found.closed) == ("", False)
    found = split_thought("It is Vienna, I would", opened=form)
    assert (found.thought, found.answer) == ("It is Vienna, I would", "")
    assert knows_thoughts(f"{{{{ '{form.opening}' }}}}")
    assert opened_by(f"<|assistant|>{form.opening}\n") == form
    assert closes_thought(f"<|assistant|>{form.opening}\n\n{form.closing}\n\n")


def test_the_end_of_a_thought_is_no_quoted_one() -> None:
    """What is thought about the tag itself is still a thought."""
    found = split_thought("<think>I close with `</think>` at the end.</think>\nVienna")
    assert (found.thought, found.answer) == ("I close with `</think>` at the end.", "Vienna")


def test_a_call_is_the_answer() -> None:
    """gpt-oss calls tools in a channel of its own, which stays for whoever reads calls."""
    call = "<|channel|>commentary to=functions.f <|constrain|>json<|message|>{}<|call|>"
    found = split_thought(f"<|channel|>analysis<|message|>f?<|end|><|start|>assistant{call}")
    assert (found.thought, found.answer) == ("f?", call)


@given(
    st.sampled_from([f for f in FORMS if f.sure]),
    st.text(alphabet="ab <>/'`\n", max_size=40),
    st.text(alphabet="ab <>/'`\n", max_size=40),
)
def test_nothing_of_an_answer_is_lost(form: object, thought: str, answer: str) -> None:
    """Whatever a thought says, the answer behind its end comes back, blanks in front aside."""
    assert isinstance(form, type(FORMS[0]))
    found = split_thought(f"{form.opening}{thought} {form.closing}{answer}")
    assert found.answer == answer.lstrip()
    assert (found.thought or "").strip() == thought.strip()
    alone = split_thought(answer)
    assert (alone.thought, alone.answer) == (None, answer)


@pytest.mark.parametrize(
    "piece", ["<think></think>", "<|channel|>analysis", "<think>", "</think>\n"]
)
def test_long_texts_take_no_long_time(piece: str) -> None:
    """A model in a loop writes a million characters of tags; each is read once."""
    split_thought(piece * 50_000)
