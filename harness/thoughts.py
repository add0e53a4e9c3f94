"""Thoughts of reasoning models: where they end and the answer begins. Pure text, no model.

A thought is only what stands at the very start of a response, before any answer: in the marks of a
known family, or from the start where the prompt has opened it. Whatever comes after the first word
of an answer is the answer's own text, tags and all. So nothing is taken from an answer that quotes
a tag, shows one in code, or has one in a query.

Families, from their chat templates and model cards: DeepSeek-R1, Qwen3, QwQ, GLM, Granite 3.3,
Nemotron, SmolLM3, Olmo, Phi-4-reasoning (``<think>``), Magistral (``[THINK]``), gpt-oss (harmony's
channels), Gemma 4 (``<|channel>thought``), MedGemma (``<unused94>``), Command A Reasoning
(``<|START_THINKING|>``), Sky-T1 and OpenThinker (``<|begin_of_thought|>``), Seed-OSS, Kimi-VL,
EXAONE Deep, Apertus, LongCat, Granite 3.2 (sentences), Solar Open (``<|think|>``), MiniMax M3,
openPangu. Hunyuan A13B, K2-Think and what was trained as R1-Zero was frame the answer after it.
"""

import re
from dataclasses import dataclass
from functools import cache

UNTIL_LIMIT, ONLY_THOUGHT = "thought_until_limit", "only_thought"
"""Causes of an answer that never came: the limit cut the thought, or the model ended after it."""

THINKING_TOKENS, ANSWER_TOKENS = "thinking_tokens", "answer_tokens"
"""Columns of an arm that thinks: tokens of each item's thought, and of what follows it."""

_UNQUOTED = r"(?<![`'\"])"
_ATTRIBUTES = 80
"""Characters that the attributes of a tag may take."""
HARMONY = "<|channel|>"
_FINAL = "<|channel|>final<|message|>"
_SOLAR = "<|begin|>assistant<|"
_FINAL_MARK = re.compile(
    r"<\|start\|>assistant(?: to=user)?<\|message\|>"
    r"|(?:<\|start\|>assistant)?<\|channel\|>final(?: <\|constrain\|>\w+)?<\|message\|>"
    r"|<\|begin_of_solution\|>|<\|START_RESPONSE\|>|(?:<\|begin\|>assistant)?<\|content\|>"
)
_FRAME = re.compile(
    r"<(?P<name>response|answer|output)>(?P<framed>(?:(?!</(?P=name)>).)*)(?:</(?P=name)>\s*)?\Z",
    re.IGNORECASE | re.DOTALL,
)
"""Around a whole answer that follows a thought; one that was cut has no end."""
_ENDINGS = re.compile(r"\s*(?:<\|end_of_solution\|>|<\|END_RESPONSE\|>)\s*\Z")
_INNER_MARKS = re.compile(r"(?:<\|(?:start\|>assistant|channel\|>analysis|message\|>|end\|>))+")
_BLANKS = re.compile(r"\s*")
_TURN_MARKS = re.compile(
    r"\s*(?:(?:<\|(?:return|end|im_end|eot_id|eom_id|eom|endoftext|end_of_text|endofturn)\|>"
    r"|<end_of_turn>|<turn\|>|</s>|<｜end▁of▁sentence｜>|\[unused10\])\s*)+\Z"
)
"""What ends a turn, where a text still has its special tokens."""


@dataclass(frozen=True, slots=True)
class ThoughtForm:
    """The marks around a thought in one family.

    Attributes:
        opening: What it begins with.
        closing: What it ends with; the mark is no part of the answer.
        answers: Marks that end it as well and belong to the answer, such as a call's channel.
        sure: Whether the opening alone is enough; a sentence needs its closing, too.
    """

    opening: str
    closing: str
    answers: tuple[str, ...] = ()
    sure: bool = True

    def opening_in(self, text: str) -> int:
        """Return the characters of the opening that a text begins with, 0 where it does not.

        A tag may have attributes, as in ``<reasoning effort="high">``.
        """
        found = _opening(self).match(text)
        return found.end() if found else 0

    @property
    def nests(self) -> bool:
        """Whether a thought may hold another one: tags do, channels follow each other."""
        return self.opening.startswith("<") and self.closing.startswith("</")

    @property
    def endings(self) -> tuple[str, ...]:
        """Every mark that ends it."""
        return (self.closing, *self.answers)

    @property
    def longest(self) -> int:
        """Bytes of the longest mark that ends it."""
        return max(len(mark.encode()) for mark in self.endings)

    def end(self, text: str, start: int = 0) -> tuple[int, int] | None:
        """Return where the thought ends in a text and where the answer begins, None where neither.

        A mark right after a quotation mark or backtick is talked about, and ends nothing.
        """
        found = _endings(self).search(text, start)
        if found is None:
            return None
        begun = self.nests * len(_opening(self).findall(text, start, found.start()))
        while begun and (further := _endings(self).search(text, found.end())):  # thoughts in it
            begun += len(_opening(self).findall(text, found.end(), further.start())) - 1
            found = further
        return found.start(), found.end() if found["closing"] else found.start()


@cache
def _opening(form: ThoughtForm) -> re.Pattern[str]:
    """Return what finds the beginning of a thought, in any case, not behind a quotation mark."""
    tag = re.fullmatch(r"<(\w+)>", form.opening)
    attributes = rf"(?:\s[^<>\n]{{0,{_ATTRIBUTES}}})?"
    pattern = rf"<{tag[1]}{attributes}>" if tag else re.escape(form.opening)
    return re.compile(rf"{_UNQUOTED}{pattern}", re.IGNORECASE)


@cache
def _endings(form: ThoughtForm) -> re.Pattern[str]:
    """Return what finds the end of a thought, in any case and not behind a quotation mark."""
    others = "".join(f"|{re.escape(mark)}" for mark in form.answers)
    return re.compile(
        rf"{_UNQUOTED}(?:(?P<closing>{re.escape(form.closing)}){others})", re.IGNORECASE
    )


def _tag(name: str) -> ThoughtForm:
    return ThoughtForm(f"<{name}>", f"</{name}>")


FORMS = (
    *map(_tag, ("think", "thinking", "thought", "reasoning", "seed:think", "longcat_think")),
    ThoughtForm("[THINK]", "[/THINK]"),
    ThoughtForm("<|channel|>analysis", _FINAL, ("<|channel|>commentary", "<|start|>assistant to=")),
    ThoughtForm("<|channel>thought", "<channel|>"),
    ThoughtForm("to=self<|message|>", "<|eom|>"),
    ThoughtForm("<unused94>thought", "<unused95>"),
    ThoughtForm("<|START_THINKING|>", "<|END_THINKING|>"),
    ThoughtForm("<|begin_of_thought|>", "<|end_of_thought|>"),
    ThoughtForm("<|inner_prefix|>", "<|inner_suffix|>"),
    ThoughtForm("<|think|>", f"<|end|>{_SOLAR}content|>", (f"<|end|>{_SOLAR}tool_calls|>",)),
    ThoughtForm("[unused16]", "[unused17]"),
    ThoughtForm("<mm:think>", "</mm:think>"),
    ThoughtForm("◁think▷", "◁/think▷"),
    ThoughtForm("Here is my thought process:", "Here is my response:"),
    ThoughtForm("Here's my thought process:", "Here's my response:"),
    ThoughtForm("analysis", "assistantfinal", sure=False),  # harmony, its special tokens lost
)  # fmt: skip
"""Marks of thoughts, by family; another family is one more entry."""

_LONGEST_OPENING = max(len(form.opening) for form in FORMS) + 1 + _ATTRIBUTES

MARKS = (
    HARMONY, "<|message|>", "<|start|>", "<|end|>", "<|eom|>", "<|return|>", "<|call|>",
    "<|constrain|>",
    "[THINK]", "[/THINK]", "<|channel>", "<channel|>", "<unused94>", "<unused95>",
    "<|START_THINKING|>", "<|END_THINKING|>", "<|START_RESPONSE|>", "<|END_RESPONSE|>",
    "<|begin_of_thought|>", "<|end_of_thought|>", "<|begin_of_solution|>", "<|end_of_solution|>",
    "<|inner_prefix|>", "<|inner_suffix|>", "<think>", "</think>", "<seed:think>", "</seed:think>",
    "<longcat_think>", "</longcat_think>", "◁think▷", "◁/think▷", "<mm:think>", "</mm:think>",
    "<|begin|>", "<|think|>", "<|content|>", "[unused16]", "[unused17]",
)  # fmt: skip
"""Marks that may be special tokens, which decoding drops: without them a thought has no border."""


@dataclass(frozen=True, slots=True)
class SplitText:
    """A response in two: its ``thought`` (None where there is none), and its ``answer``.

    ``start`` is where the answer begins in the response, ``closed`` whether the thought has an end;
    one that has none is followed by an empty answer.
    """

    thought: str | None
    answer: str
    start: int = 0
    closed: bool = True


def opened_by(prompt: str) -> ThoughtForm | None:
    r"""Return the form of the thought that a prompt leaves open at its end.

    >>> opened_by("<|assistant|><think>\n").closing, opened_by("<think>\n\n</think>\n\n")
    ('</think>', None)
    """
    end = prompt[-64:].rstrip()
    return next((f for f in FORMS if f.sure and end.endswith(f.opening)), None)


def closes_thought(prompt: str) -> bool:
    r"""Tell whether a prompt ends with a thought that it closes itself.

    >>> closes_thought("<think>\n\n</think>\n\n"), closes_thought("<think>\n")
    (True, False)
    """
    end = prompt[-64:].rstrip()
    return any(form.sure and end.endswith(form.closing) for form in FORMS)


def knows_thoughts(template: str | None) -> bool:
    """Tell whether a chat template has the marks of some family of reasoning models.

    >>> knows_thoughts("{{ '<think>' }}"), knows_thoughts("{{ messages[0].content }}")
    (True, False)
    """
    text = str(template or "")
    return any(form.sure and (form.opening in text or form.closing in text) for form in FORMS)


def opening_at(text: str) -> tuple[ThoughtForm | None, bool]:
    """Return the form that a text begins with, and whether more text could still make one.

    >>> opening_at("<thi"), opening_at("Vienna")
    ((None, True), (None, False))
    """
    folded = text.lower()
    sure = [form for form in FORMS if form.sure]
    form = next((f for f in sure if f.opening_in(text)), None)
    return form, form is None and any(f.opening.lower().startswith(folded) for f in sure)


def split_thought(text: str, *, opened: ThoughtForm | None = None) -> SplitText:
    r"""Split a response into what was thought and what was answered.

    Args:
        text: The response, with the marks of its thought where they are special tokens.
        opened: The form that the prompt has opened (`opened_by`); the thought then begins the text.

    >>> split_thought("<think>Rome?</think>\n\nVienna").answer
    'Vienna'
    >>> split_thought("Put it between <think> and </think>.").thought is None
    True
    """
    thoughts, at = list[str](), 0
    form = opened or _leading(text, 0)
    if form is None and (lone := _lone_end(text)):
        thoughts, at = [text[: lone[0]].strip()], lone[1]
    while form is not None:
        at = _after_opening(text, at, form)
        end = form.end(text, at)
        thoughts.append(_clean(text[at : end[0] if end else None]))
        if end is None:
            return SplitText("\n\n".join(thoughts).strip(), "", len(text), closed=False)
        at = end[1]
        form = _leading(text, at)
    return _answered(text, at, "\n\n".join(filter(None, thoughts)) if thoughts else None)


def answer_of(text: str) -> str:
    r"""Return a response without its thought.

    >>> answer_of("So it is Vienna.\n</think>\n\nVienna"), answer_of("Vienna")
    ('Vienna', 'Vienna')
    """
    return split_thought(text).answer


def _leading(text: str, at: int) -> ThoughtForm | None:
    """Return the form of a thought that begins at a place, blanks aside."""
    begin = _unblank(text, at)
    rest = text[begin : begin + _LONGEST_OPENING]
    if form := opening_at(rest)[0]:
        return form
    unsure = (f for f in FORMS if not f.sure and rest.startswith(f.opening))
    return next((f for f in unsure if f.end(text, at) is not None), None)


def _unblank(text: str, at: int) -> int:
    """Return the place of the first character from a place on that is not blank."""
    blanks = _BLANKS.match(text, at)
    return blanks.end() if blanks else at


def _after_opening(text: str, at: int, form: ThoughtForm) -> int:
    """Return the place behind a thought's opening, where it has one of its own."""
    begin = _unblank(text, at)
    size = form.opening_in(text[begin : begin + _LONGEST_OPENING])
    return begin + size if size else at


def _lone_end(text: str) -> tuple[int, int] | None:
    """Return where a thought ends that the prompt must have opened: its end stands alone.

    Only on a border of lines, outside of quotes and fences, with no opening before it.
    """
    for form in FORMS:
        end = form.end(text) if form.sure and form.closing.startswith(("</", "[/", "◁/")) else None
        if end is None:
            continue
        before, after = text[: end[0]], text[end[1] :]
        at_border = before.rstrip(" \t").endswith("\n") or after.lstrip(" \t").startswith("\n")
        quoted = before.count("```") % 2 or form.opening.lower() in before.lower()
        if at_border and not quoted and (after.strip() or before.endswith("\n")):
            return end
    return None


def _answered(text: str, at: int, thought: str | None) -> SplitText:
    """Return what stands from a place on, without the marks that some families put around it."""
    rest = text[at:].lstrip()
    mark = _FINAL_MARK.match(rest)
    if thought is None and mark is None:
        return SplitText(None, text)
    start = len(text) - len(rest)
    if mark:
        start += mark.end()
        rest = _ENDINGS.sub("", rest[mark.end() :])
    rest = _TURN_MARKS.sub("", rest)
    if thought is not None and (frame := _FRAME.match(rest)):
        start += frame.start("framed")
        rest = frame["framed"].strip()
    return SplitText(thought, rest, start)


def _clean(thought: str) -> str:
    """Return a thought without the marks inside of it: harmony's, of several messages."""
    return _INNER_MARKS.sub("\n", thought).strip()
