"""What a suite's prompts tell a chat template about thoughts, and how long a thought may be."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.models.protocols import Tokenizer
from harness.models.template_options import (
    Options,
    check_options,
    opens_thought,
    thinks,
    without_thinking,
)
from harness.study import SuiteSection

THINKING_TOKENS = 2048
"""Tokens of a thought where nobody says how many, and the base's template knows thoughts."""

_SHARE = 4
"""What part of a short context such a thought may take: one in so many."""


@dataclass(frozen=True, slots=True)
class Thinking:
    """How a suite treats thoughts; the same for every arm.

    Attributes:
        options: Arguments of the chat template, the study's and the suite's own.
        tokens: What a thought may take before the answer's own limit begins; 0: they share it;
            None: by the base's chat template, which is not asked yet.
        remark: What a person should know of it.
    """

    options: Options = field(default_factory=dict)
    tokens: int | None = 0
    remark: str = ""

    @property
    def settings(self) -> Mapping[str, object]:
        """What of it shapes a generation, as settings of a `Request`."""
        told = {"chat_template_kwargs": dict(self.options)} if self.options else {}
        return {**({"thinking_tokens": self.tokens} if self.tokens else {}), **told}


NO_THINKING = Thinking(tokens=None)
"""Where a study says nothing about thoughts."""


def thinking_of(
    section: SuiteSection,
    tokenizer: Tokenizer,
    study: Thinking,
    *,
    chat: bool,
    writes: bool,
    context: int | None,
) -> Thinking:
    """Decide how a suite treats thoughts.

    Choices are scored after an empty thought that the template closes, where it has a switch for
    that and nobody has set it: their likelihood before or inside a thought says little.

    Args:
        section: The suite's own settings.
        tokenizer: With the base's chat template.
        study: What the study says for all suites.
        chat: Whether prompts go through it.
        writes: Whether answers are generated.
        context: How many tokens fit the context of every arm, None where that is not known.

    Raises:
        StudyError: If an argument of the suite's own is none that the template reads.
    """
    name = section.name
    check_options(tokenizer, section.chat_template_kwargs, chat=chat, where=f"suite {name!r}")
    given = {**study.options, **section.chat_template_kwargs} if chat else {}
    if not writes:
        return _before_choices(tokenizer, given) if chat else Thinking()
    tokens = study.tokens if section.thinking_tokens is None else section.thinking_tokens
    if tokens is None:
        tokens = default_tokens(context) if chat and thinks(tokenizer, given) else 0
    return Thinking(given, tokens)


def default_tokens(context: int | None) -> int:
    """Return the limit of a thought where nobody sets one.

    >>> default_tokens(None), default_tokens(40_960), default_tokens(2048)
    (2048, 2048, 512)
    """
    tokens = THINKING_TOKENS
    while context is not None and tokens * _SHARE > context and tokens > 1:
        tokens //= 2
    return tokens


def _before_choices(tokenizer: Tokenizer, options: Options) -> Thinking:
    """Close the thought before a choice where the template offers it, and say what was done."""
    closed = without_thinking(tokenizer, options)
    if closed != options:
        switch = next(name for name in closed if name not in options)
        return Thinking(
            closed,
            remark=f"choices are scored after an empty thought ({switch}: false), since the base "
            "would think first; set it under 'chat_template_kwargs' of the suite for another way",
        )
    if opens_thought(tokenizer, options):
        return Thinking(
            options,
            remark="choices are scored inside a thought, which the base's chat template opens and "
            "has no argument to close: compare arms, and don't read the scores as the model's "
            "knowledge; a suite that lets it write an answer shows that",
        )
    if thinks(tokenizer, options):
        return Thinking(
            options,
            remark="choices are scored where the base would begin to think: compare arms, and "
            "don't read the scores as the model's knowledge",
        )
    return Thinking(options)
