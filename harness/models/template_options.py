"""Arguments of a chat template, such as ``enable_thinking``: which it reads, and how it gets them.

A template takes any argument without a word, so one that it never reads is refused: the run would
say that thinking was off, and it was not.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

from harness.errors import StudyError, nearest
from harness.study import OF_THE_HARNESS
from harness.thoughts import closes_thought, knows_thoughts, opened_by

if TYPE_CHECKING:
    from jinja2.nodes import Template

    from harness.models.protocols import ChatMessages, ChatTemplate, PretrainedTokenizer, Tokenizer

Options = Mapping[str, object]
"""Arguments of a chat template beside the conversation: a study's ``chat_template_kwargs``."""

SWITCHES = ("enable_thinking", "thinking")
"""What templates of reasoning models call the argument that turns thoughts off when it is false."""

_GENERATION = re.compile(r"\{%-?\s*(?:end)?generation\s*-?%\}")
_GIVEN = frozenset({"messages", "raise_exception", "strftime_now", *OF_THE_HARNESS})
_PROBE = [{"role": "user", "content": "answer-probe-5f0c"}]


@cache
def options_read(template: str) -> frozenset[str]:
    """Return the arguments that a chat template reads, beside those that every template is given.

    Raises:
        jinja2.TemplateError: If it is no template.

    >>> sorted(options_read("{% if thinking %}{{ messages }}{{ bos_token }}{% endif %}"))
    ['thinking']
    """
    from jinja2 import Environment, meta, nodes

    environment = Environment(extensions=["jinja2.ext.loopcontrols"], autoescape=True)
    tree = environment.parse(_GENERATION.sub("", template))
    found = meta.find_undeclared_variables(tree) - _GIVEN - environment.globals.keys()
    names = list(tree.find_all(nodes.Name))
    assigned = {name.name for name in names if name.ctx != "load"}
    own = found - (assigned - _optional(tree))
    return frozenset(name for name in own if not name.endswith("_token"))


def _optional(tree: "Template") -> set[str]:
    """Return the names of which a template asks whether they were given, or has a default."""
    from jinja2 import nodes

    tests = [
        test.node for test in tree.find_all(nodes.Test) if test.name in ("defined", "undefined")
    ]
    defaults = [one.node for one in tree.find_all(nodes.Filter) if one.name in ("default", "d")]
    return {node.name for node in (*tests, *defaults) if isinstance(node, nodes.Name)}


def check_options(tokenizer: "Tokenizer", options: Options, *, chat: bool, where: str) -> None:
    """Refuse arguments that no chat template is given, or that it never reads.

    Args:
        tokenizer: With the template; an endpoint's own is not known here, and takes any.
        options: The arguments.
        chat: Whether the template is used.
        where: Whose they are, for the error.

    Raises:
        StudyError: Naming one, and those that the template does read.
    """
    from jinja2 import TemplateError

    if not options:
        return
    if not (chat and tokenizer.chat_template):
        raise StudyError(
            f"'chat_template_kwargs' need a chat template, and {where} is asked in plain text: "
            "leave them out, or take a model with a template and 'template: auto'"
        )
    get_template = getattr(tokenizer, "get_chat_template", None)
    if get_template is None:
        return
    try:
        known = options_read(str(get_template()))
    except TemplateError:  # what it cannot lay out is told where it is used
        return
    for name in options:
        if name not in known:
            reads = f"it reads {', '.join(sorted(known))}" if known else "it reads none"
            raise StudyError(
                f"'chat_template_kwargs' are arguments that the chat template reads: {where} has "
                f"{name!r}, and {reads}{nearest(name, known)}; take it out, or name one of those"
            )


def bind_options(tokenizer: "PretrainedTokenizer", options: Options) -> None:
    """Let a tokenizer's chat template get these arguments whenever it lays out a conversation."""
    if options:
        bound = partial(_apply_with, dict(options), tokenizer.apply_chat_template)
        vars(tokenizer)["apply_chat_template"] = bound


def _apply_with(
    options: Options, apply: Callable[..., object], *conversation: object, **given: object
) -> object:
    return apply(*conversation, **{**options, **given})


@dataclass(frozen=True, slots=True)
class TemplateWith:
    """A chat template that gets some arguments with every conversation."""

    template: "ChatTemplate"
    options: Options

    def apply_chat_template(
        self,
        turns: "ChatMessages",
        /,
        *,
        tools: Sequence[Mapping[str, object]] | None = None,
        tokenize: bool = True,
        add_generation_prompt: bool = False,
        continue_final_message: bool = False,
        **options: object,
    ) -> str:
        """Lay a conversation out with the arguments."""
        return self.template.apply_chat_template(
            turns,
            tools=tools,
            tokenize=tokenize,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=continue_final_message,
            **{**self.options, **options},
        )


def thinks(tokenizer: "Tokenizer", options: Options) -> bool:
    """Tell whether answers may begin with a thought, by a chat template and its arguments.

    It does where the template knows thoughts, its prompts do not close one themselves, and no
    switch of it is off.
    """
    prompt = asked(tokenizer, options)
    if not knows_thoughts(tokenizer.chat_template) or closes_thought(prompt):
        return False
    return not any(
        prompt == asked(tokenizer, {**options, name: False})
        and prompt != asked(tokenizer, {**options, name: True})
        for name in SWITCHES
    )


def without_thinking(tokenizer: "Tokenizer", options: Options) -> Options:
    """Return arguments by which the prompt ends with an empty thought, closed before the answer.

    Those that are given where the template knows no thoughts, closes one anyway, has no switch for
    it, or the switch is set already.
    """
    if not thinks(tokenizer, options):
        return options
    get_template = getattr(tokenizer, "get_chat_template", None)
    known = options_read(str(get_template())) if get_template else frozenset[str]()
    for name in SWITCHES:
        if name in known and name not in options:
            off = {**options, name: False}
            if closes_thought(asked(tokenizer, off)):
                return off
    return options


def opens_thought(tokenizer: "Tokenizer", options: Options) -> bool:
    """Tell whether prompts end inside a thought that the answer has to close."""
    return opened_by(asked(tokenizer, options)) is not None


def asked(tokenizer: "ChatTemplate", options: Options) -> str:
    """Return a prompt of one short question; empty where the template refuses it."""
    try:
        template = TemplateWith(tokenizer, options)
        return str(template.apply_chat_template(_PROBE, tokenize=False, add_generation_prompt=True))
    except Exception:  # noqa: BLE001 - a template raises whatever its author chose; items tell it
        return ""
