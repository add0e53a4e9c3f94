"""Our engine as lm-eval's model: ``harness lm-eval --model_args pretrained=MODEL --tasks TASK``.

lm-eval's own command does everything else, so its options, tasks, logs and results are unchanged;
built-in suites are found beside its tasks.
"""

import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from lm_eval.api.model import TemplateLM
from lm_eval.api.registry import register_model
from lm_eval.utils import simple_parse_args_string

from harness.content import TASKS
from harness.engine.open import load_engine
from harness.errors import InfrastructureError, StudyError, nearest
from harness.models.adapter_folder import read_adapter_folder
from harness.records import BASE, ItemKey, Request, Response
from harness.study import BaseSection, resolve_model
from harness.suites.lm_eval_task import LmEvalInstance
from harness.suites.tokenize import Encoder, generation_settings, render

TUNED = "tuned"

OWN_ARGUMENTS = {"pretrained", "adapter", "peft", "batch_size", "max_batch_size",
                 "enable_thinking", "thinking_tokens"}  # fmt: skip
NOT_OF_A_BASE = {"model", "backend", "model_args", "endpoint", "gguf"}
"""Fields of a study's base that say what answers: that is `pretrained` here."""

LM_EVALS_NAMES = {"arc_challenge"}
"""Suites of ours that lm-eval has a task of the same name for: here the name is lm-eval's."""

TokenizedPair = tuple[tuple[str, str] | None, Sequence[int], Sequence[int]]
"""As lm-eval makes it: texts, ids of the context, ids of the continuation."""


@register_model("harness")
class HarnessLM(TemplateLM):
    """The engine behind lm-eval's model interface.

    Args:
        pretrained: Base model: hub name, folder, or ``builtin:tiny``.
        adapter: An adapter to attach and answer with; without one the base answers.
        peft: The same under the name that lm-eval's ``hf`` has for it.
        dtype: Precision, ``float32`` by default. ``bfloat16_verified`` gives float32's accuracies
            and texts; metrics that are made of the log-likelihoods of several choices themselves
            (``brier_score``, ``truthfulqa_mc2``) then carry bf16's rounding.
        quantization: ``none``, ``4bit`` or ``8bit``.
        batch_size: Ignored: batches are made by tokens.
        max_batch_size: Ignored.
        device: ``cpu``, ``cuda``, ... or None for the best there is; so is `UNSAID` where there is
            no such device.
        options: Further arguments of `Engine.load`, such as ``chat_template_kwargs``;
            ``enable_thinking``, as for lm-eval's ``hf``, is one of these; ``thinking_tokens`` is
            what a thought may take beside a task's ``max_gen_toks``. Tasks see answers without
            thoughts.
    """

    def __init__(
        self,
        pretrained: str,
        *,
        adapter: str | None = None,
        peft: str | None = None,
        dtype: str = "float32",
        quantization: str = "none",
        batch_size: int | str | None = None,  # noqa: ARG002 lm-eval always passes it
        max_batch_size: int | None = None,  # noqa: ARG002
        device: str | None = None,
        **options: object,
    ) -> None:
        super().__init__()
        adapter = adapter or peft
        check_arguments({"pretrained": pretrained, "adapter": adapter, **options})
        tokens = options.pop("thinking_tokens", None)
        self._thinking = {"thinking_tokens": int(str(tokens))} if tokens else {}
        if (switch := options.pop("enable_thinking", None)) is not None:
            options["chat_template_kwargs"] = {"enable_thinking": switch}
        self.engine = load_engine(
            resolve_model(str(pretrained), Path()), dtype=dtype, quantization=quantization,
            device=device or "auto", **options,
        )  # fmt: skip
        self.arm = BASE
        if adapter:
            self.arm = TUNED
            self.engine.attach(TUNED, Path(adapter))
        self.tokenizer = self.engine.tokenizer
        self._encoder = Encoder(self.tokenizer)

    @property
    def eot_token_id(self) -> int:
        """The token that ends a text."""
        end = self.tokenizer.eos_token_id
        return self._encoder.prefix_id if end is None else int(end)

    @property
    def max_length(self) -> int:
        """How many tokens fit the context."""
        return self.engine.max_length

    @property
    def tokenizer_name(self) -> str:
        """What tells this tokenizer and template from others, for lm-eval's request cache."""
        return self.engine.identity.tokenizer

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **_: object
    ) -> list[int]:
        """Return a text's ids."""
        if add_special_tokens is None:
            return list(self._encoder.encode(string))
        return list(self.tokenizer.encode(string, add_special_tokens=add_special_tokens))

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """Return a conversation as text."""
        return render(self.tokenizer, chat_history, generate=add_generation_prompt)

    def loglikelihood(
        self, requests: Sequence[LmEvalInstance], **_: object
    ) -> list[tuple[float, bool]]:
        """Return ``(log-likelihood, is greedy)`` of each continuation."""
        made = []
        for index, request in enumerate(requests):
            ids = self._encoder.pair(*request.args)
            made.append(_request("loglikelihood", index, request.args, ids, item=_item(request)))
        found = self._answers(made)
        return [(_number(r), bool(r.is_greedy)) for r in found]

    def _loglikelihood_tokens(
        self, requests: Sequence[TokenizedPair], **_: object
    ) -> list[tuple[float, bool]]:
        made = [
            _request("loglikelihood", index, texts or ("", ""), (tuple(context), tuple(scored)))
            for index, (texts, context, scored) in enumerate(requests)
        ]
        return [(_number(r), bool(r.is_greedy)) for r in self._answers(made)]

    def loglikelihood_rolling(self, requests: Sequence[LmEvalInstance], **_: object) -> list[float]:
        """Return the log-likelihood of each whole text."""
        made = []
        for index, request in enumerate(requests):
            ids = (tuple(self._encoder.encode(request.args[0])), ())
            made.append(_request("loglikelihood_rolling", index, (request.args[0], ""), ids))
        return [_number(response) for response in self._answers(made)]

    def generate_until(self, requests: Sequence[LmEvalInstance], **_: object) -> list[str]:
        """Return the text generated for each prompt; repeats of a sampled one differ."""
        made: list[Request] = []
        repeats: Counter[str] = Counter()
        for index, request in enumerate(requests):
            context, raw = request.args
            ids = (tuple(self._encoder.encode(context)), ())
            settings = generation_settings(raw) | self._thinking
            if settings.get("do_sample"):
                same = repr((context, settings))
                settings["repeat"] = repeats[same]
                repeats[same] += 1
            made.append(_request("generate_until", index, (context, ""), ids, settings=settings))
        from harness.rating.answer_alone import without_thought

        found = zip(made, self._answers(made), strict=True)
        return [without_thought(one, prompt=request.context).text or "" for request, one in found]

    def _answers(self, requests: Sequence[Request]) -> list[Response]:
        """Answer in the requests' order; lm-eval cannot leave an item unscored.

        Raises:
            InfrastructureError: If an item does not fit the context.
        """
        found: dict[int, Response] = {}
        for batch in self.engine.answer(self.arm, requests):
            for request, response in batch:
                if response.unscored:
                    raise InfrastructureError(
                        f"lm-eval needs an answer to every item: one is {response.unscored}; "
                        "'harness run' counts such items as unscored instead"
                    )
                found[request.index] = response
        return [found[index] for index in range(len(requests))]


def _request(
    kind: Literal["loglikelihood", "loglikelihood_rolling", "generate_until"],
    index: int,
    texts: Sequence[str],
    ids: tuple[tuple[int, ...], tuple[int, ...]],
    *,
    item: ItemKey | None = None,
    settings: Mapping[str, object] | None = None,
) -> Request:
    return Request(
        kind=kind,
        item=item or ItemKey("lm-eval", "none", str(index), 0),
        index=index,
        context=texts[0],
        continuation=texts[1],
        context_ids=ids[0],
        continuation_ids=ids[1],
        settings=settings or {},
    )


def _item(instance: LmEvalInstance) -> ItemKey | None:
    """Return which row of which task an instance belongs to, with the other choices of that row."""
    if instance.task_name is None or instance.doc_id is None:
        return None
    return ItemKey(instance.task_name, "none", str(instance.doc_id), 0)


def _number(response: Response) -> float:
    return float("nan") if response.logprob is None else response.logprob


def check_arguments(given: Mapping[str, object]) -> None:
    """Check model arguments without loading anything.

    Raises:
        StudyError: If one is not known, or none says which model.
        ModelError: If the adapter's folder cannot be read.
    """
    known = OWN_ARGUMENTS | (BaseSection.model_fields.keys() - NOT_OF_A_BASE)
    for name in given.keys() - known:
        close = nearest(name, known).partition("; known")[0].rstrip("?")
        raise StudyError(
            f"model argument {name!r} is not one of ours{close}; known: {', '.join(sorted(known))}"
        )
    if not given.get("pretrained"):
        raise StudyError("which model answers? Give --model_args pretrained=MODEL")
    resolve_model(str(given["pretrained"]), Path())
    if given.get("adapter") and given.get("peft"):
        raise StudyError("'peft' is another word for 'adapter': give one of them")
    if adapter := given.get("adapter") or given.get("peft"):
        read_adapter_folder(Path(str(adapter)))


def builtin_suites() -> list[str]:
    """Return the folders of built-in suites whose names lm-eval has no task of its own for."""
    return [str(place) for place in sorted(TASKS.iterdir())
            if place.is_dir() and place.name not in LM_EVALS_NAMES]  # fmt: skip


def complete(args: Namespace) -> None:
    """Give lm-eval's command our defaults where neither options nor its file say otherwise.

    Args:
        args: Parsed options, changed in place: built-in suites are found, our model is asked, and
            its device is chosen as a study's ``auto``.

    Raises:
        StudyError: If an argument of our model cannot be; nothing has been loaded or searched yet.
    """
    from lm_eval.config.evaluate_config import EvaluatorConfig

    options = vars(args)
    file = options.get("config")
    given = EvaluatorConfig.load_yaml_config(file) if file else {}
    if hasattr(args, "include_path"):
        theirs = args.include_path or given.get("include_path")
        args.include_path = builtin_suites() + ([theirs] if theirs else [])
    if args.command != "run":
        return
    args.model = args.model or given.get("model") or "harness"
    if args.model != "harness":
        return
    arguments = args.model_args or given.get("model_args") or {}
    if isinstance(arguments, str):
        arguments = simple_parse_args_string(arguments)
    device = arguments.pop("device", None)
    args.device = args.device or device or given.get("device") or "auto"
    args.model_args = arguments
    check_arguments(arguments)


def main(argv: Sequence[str]) -> None:
    """Run lm-eval's own command with the model type ``harness`` known, and asked by default.

    Args:
        argv: Its arguments, with or without the subcommand.
    """
    from lm_eval._cli import HarnessCLI
    from lm_eval.utils import setup_logging

    setup_logging()
    before, sys.argv = sys.argv, ["harness lm-eval", *argv]
    try:
        cli = HarnessCLI()
        args = cli.parse_args()
        complete(args)
        cli.execute(args)
    except (ValueError, KeyError, NotImplementedError) as error:
        said = str(error).strip().partition("\n")[0]
        raise StudyError(f"lm-eval refuses: {said}") from error
    finally:
        sys.argv = before
