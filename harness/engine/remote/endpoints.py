"""Which arms of a study are remote, and whether their endpoints can answer its suites."""

import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from harness.engine.remote.arm import RemoteArm
from harness.engine.remote.asked_arm import AskedArm
from harness.engine.remote.key_hosts import check_host, key_sent
from harness.errors import ModelError, StudyError, nearest
from harness.extras import require
from harness.models.load_model import context_length, load_tokenizer
from harness.records import (
    BASE,
    AnswerBatch,
    Answerer,
    ArmAnswerBatch,
    Drafts,
    Request,
    RequestKey,
)
from harness.study import ArmSection, Study
from harness.suites.dialogue_turns import DIALOGUES, sent_messages
from harness.suites.load_suite import LoadedSuite, instances_of
from harness.suites.text_tokenizer import MessageTemplate, TextTokenizer

COMPLETIONS = "local-completions"


@dataclass(frozen=True, slots=True)
class Arms:
    """All arms of a study, local and remote; ``local`` is None where all are remote.

    ``unmoved`` has by remote arm what raises an error if it is another model now; it is called
    after the arm's last answer. ``proven`` is what trying them has shown.
    """

    local: Answerer | None
    remote: Mapping[str, AskedArm]
    unmoved: Mapping[str, Callable[[], None]] = field(default_factory=dict)
    proven: tuple[str, ...] = ()

    @property
    def notes(self) -> list[str]:
        """What a person should know about how the arms answered."""
        local = self.local.notes if self.local else []
        remote = [f"{name} is {arm.section.endpoint}" for name, arm in self.remote.items()]
        keys = [sent for name, arm in self.remote.items() if (sent := key_sent(name, arm.section))]
        told = [note for arm in self.remote.values() for note in arm.notes]
        return [*local, *remote, *keys, *self.proven, *dict.fromkeys(told)]

    @property
    def identical(self) -> frozenset[str]:
        """The local candidates that are proven to give the base's own logits; no endpoint is."""
        return self.local.identical if self.local else frozenset()

    def fingerprint(self, arm: str) -> str:
        """Return the sha256 of everything that is known to change an answer of this arm."""
        if arm in self.remote:
            return self.remote[arm].fingerprint
        return self._engine.fingerprint(arm)

    def attach(self, name: str, path: Path, *, allow_identical: bool = False) -> str:
        """Attach a candidate's folder to the engine that is loaded here.

        Raises:
            ModelError: If the base answers elsewhere, or the folder does not fit it.
        """
        if self.local is None:
            raise ModelError(
                f"candidate {name!r} needs a base that is loaded here: the study's base is an "
                "endpoint; serve the candidate there and name it by 'backend' and 'model_args'"
            )
        return self.local.attach(name, path, allow_identical=allow_identical)

    def check(self, arm: str, requests: Sequence[Request]) -> None:
        """Try a remote arm on requests that it is about to get; see `RemoteArm.check`."""
        if arm in self.remote and requests:
            self.remote[arm].check(requests)

    def answer(
        self, arm: str, requests: Sequence[Request], *, drafts: Drafts | None = None
    ) -> Iterator[AnswerBatch]:
        """Answer requests of any kinds, yielding batches as they are done, in no set order."""
        if arm not in self.remote:
            yield from self._engine.answer(arm, requests, drafts=drafts)
            return
        yield from self.remote[arm].answer(requests)
        if arm in self.unmoved:
            self.unmoved[arm]()

    def answer_arms(
        self,
        asked: Mapping[str, Sequence[Request]],
        *,
        drafts: Mapping[str, Drafts] | None = None,
    ) -> Iterator[ArmAnswerBatch]:
        """Answer what each arm is asked: endpoints by themselves, the rest as the engine does."""
        for arm in [arm for arm in asked if arm in self.remote]:
            for batch in self.answer(arm, asked[arm]):
                yield [(arm, request, response) for request, response in batch]
        here = {arm: requests for arm, requests in asked.items() if arm not in self.remote}
        if here:
            yield from self._engine.answer_arms(here, drafts=drafts)

    @property
    def _engine(self) -> Answerer:
        assert self.local is not None
        return self.local


def remote_sections(study: Study) -> dict[str, ArmSection]:
    """Return the sections of the remote arms by name."""
    sections: dict[str, ArmSection] = {BASE: study.base, **{c.name: c for c in study.candidates}}
    return {name: section for name, section in sections.items() if section.elsewhere}


def takes_messages(section: ArmSection) -> bool:
    """Return whether a backend takes chat messages, not text: lm-eval has it in every such name."""
    return "chat" in (section.backend or "")


def substitute_tokenizer(study: Study) -> TextTokenizer | None:
    """Return the substitute for the tokenizer of a study whose base names none, else None."""
    return None if study.base.model else TextTokenizer(chat=takes_messages(study.base))


def check_endpoints(study: Study, loaded: Sequence[LoadedSuite]) -> None:
    """Refuse what a backend can never answer; contacts nothing.

    Raises:
        StudyError: If a backend or argument is unknown or missing, or a suite cannot be put to it.
    """
    for name, section in remote_sections(study).items():
        if section.gguf:
            require("gguf")
            if not study.path(section.gguf).is_file():
                raise StudyError(
                    f"{name!r} needs its gguf: {study.path(section.gguf)} does not exist"
                )
            continue
        _check_arguments(name, section)
        check_host(name, section)
        for declared, suite in zip(study.suites, loaded, strict=True):
            problem = _why_unsupported(section, suite)
            if declared.truncation == "left" and (study.base.elsewhere or takes_messages(section)):
                problem = "left truncation needs a base here, and an arm that takes text"
            if problem:
                raise StudyError(f"{name!r} cannot be asked suite {suite.suite.name!r}: {problem}")


def _check_arguments(name: str, section: ArmSection) -> None:
    from lm_eval.api.registry import get_model, model_registry
    from lm_eval.models.api_models import TemplateAPI

    backend = section.backend or ""
    if backend not in model_registry:
        raise StudyError(f"lm-eval has no {backend!r}{nearest(backend, model_registry.keys())}")
    try:
        model = get_model(backend)
    except (ValueError, ImportError) as error:
        raise StudyError(f"lm-eval's {backend!r} needs what is not installed: {error}") from error
    if not issubclass(model, TemplateAPI):
        return
    require("endpoints")
    needed = ("base_url", "model") if backend.startswith("local-") else ("model",)
    missing = [argument for argument in needed if not section.model_args.get(argument)]
    if missing:
        raise StudyError(f"{name!r} needs {' and '.join(missing)} in its model_args")
    address = str(section.model_args.get("base_url", "http://"))
    if not address.startswith(("http://", "https://")):
        raise StudyError(
            f"{name!r} needs a base_url that begins with http:// or https://: {address}"
        )
    # lm-eval takes any name and ignores those it does not know
    known_names = {n for one in model.__mro__ for n in inspect.signature(one.__init__).parameters}
    for argument in section.model_args:
        if argument not in known_names:
            close = nearest(argument, known_names - {"self", "args", "kwargs"})
            raise StudyError(f"{name!r}: {backend} has no argument {argument!r}{close}")


def _why_unsupported(section: ArmSection, suite: LoadedSuite) -> str | None:
    """Return why a backend cannot answer a suite's requests, None where it can."""
    options = suite.recipe.thinking.options
    if options and takes_messages(section) and not _takes_template_options(section):
        return (
            f"its prompts have chat_template_kwargs ({', '.join(options)}), which this backend "
            "does not pass on to a chat template; take them out, or serve the model with one that "
            "does, such as vLLM behind local-chat-completions"
        )
    likelihoods = any(request.kind != "generate_until" for request in suite.requests)
    without_tokenizer = isinstance(suite.tokenizer, TextTokenizer)
    if takes_messages(section):
        if likelihoods:
            return (
                "it needs log-likelihoods, which chat endpoints do not give; leave the suite out, "
                f"or use {COMPLETIONS} on a server that returns those of the prompt"
            )
        if not suite.recipe.chat:
            return (
                "it is plain text (no chat template), and a chat endpoint would lay it out by its "
                f"own; use {COMPLETIONS}"
            )
        if suite.recipe.tools in ("objects", "texts"):
            return (
                "the base's chat template shows its tools, and a chat endpoint is sent messages "
                f"without them; use {COMPLETIONS}, which is sent the text"
            )
    elif without_tokenizer and suite.recipe.chat:
        return (
            "the base takes conversations and this arm takes text; name the model whose chat "
            "template turns one into the other as base.model"
        )
    elif without_tokenizer and likelihoods and _tokenizes_nothing(section):
        return "log-likelihoods need a tokenizer: name its model as base.model"
    return None


def _takes_template_options(section: ArmSection) -> bool:
    """Tell whether a chat endpoint may take arguments of a chat template: OpenAI's own does not."""
    host = urlsplit(str(section.model_args.get("base_url", ""))).hostname or ""
    return section.backend == "local-chat-completions" and not host.endswith("openai.com")


def _tokenizes_nothing(section: ArmSection) -> bool:
    named = {"tokenizer", "tokenizer_backend"} & section.model_args.keys()
    return section.backend == COMPLETIONS and not named


def remote_arms(
    study: Study, loaded: Sequence[LoadedSuite], *, allow_identical: bool = False
) -> dict[str, AskedArm]:
    """Return the arms that have weights of their own by name; contacts and loads nothing.

    Raises:
        ModelError: If a candidate is the base's own endpoint and model, unless allowed.
    """
    made: dict[str, AskedArm] = {}
    sections = remote_sections(study)
    models = frozenset(str(section.model_args.get("model", "")) for section in sections.values())
    for name, section in sections.items():
        if section.gguf:
            made[name] = _gguf_arm(study, name, section, loaded)
            continue
        tokenizer = loaded[0].tokenizer
        counts = not isinstance(tokenizer, TextTokenizer)
        made[name] = RemoteArm(
            name=name,
            section=section,
            model_args=_with_tokenizer(section, study.model_path if counts else None),
            conversations=dict(_conversations(loaded)) if takes_messages(section) else {},
            tokenizer=tokenizer if counts else None,
            others=models,
        )
    base = made.get(BASE)
    for name, arm in made.items():
        if base and arm is not base and arm.fingerprint == base.fingerprint and not allow_identical:
            raise ModelError(
                f"candidate {name!r} is the base's own endpoint and model, "
                f"{arm.section.endpoint}; name the tuned one, or allow it with --allow-identical"
            )
    return made


def _gguf_arm(
    study: Study, name: str, section: ArmSection, loaded: Sequence[LoadedSuite]
) -> AskedArm:
    from harness.engine.runtimes.gguf_arm import GgufArm, longest_of

    assert section.gguf is not None
    tokenizer = load_tokenizer(study.model_path, study.base)
    context = context_length(study.model_path, study.base, tokenizer)
    return GgufArm(
        name=name,
        section=section,
        path=study.path(section.gguf),
        tokenizer=tokenizer,
        longest=longest_of((one for suite in loaded for one in suite.requests), context),
    )


def lone_arm(name: str, section: ArmSection, conversations: Mapping[RequestKey, str]) -> RemoteArm:
    """Return an endpoint that is no arm of a study, such as a judge; contacts nothing.

    Args:
        name: What errors call it.
        section: Backend and arguments.
        conversations: The messages of every request as JSON; not looked at where it takes text.

    Raises:
        StudyError: If backend or arguments are unknown, or a key may not be sent to its host.
    """
    _check_arguments(name, section)
    check_host(name, section)
    return RemoteArm(
        name=name,
        section=section,
        model_args=_with_tokenizer(section, None),
        conversations=conversations if takes_messages(section) else {},
    )


def _with_tokenizer(section: ArmSection, tokenizer: str | None) -> Mapping[str, object]:
    """Give lm-eval's text completions the tokenizer of every other arm, or none."""
    given = dict(section.model_args)
    if section.backend != COMPLETIONS or "tokenizer_backend" in given:
        return given
    if tokenizer or "tokenizer" in given:
        return {"tokenizer": tokenizer, "tokenizer_backend": "huggingface"} | given
    return {"tokenizer_backend": "none", "tokenized_requests": False} | given


def _conversations(loaded: Sequence[LoadedSuite]) -> Iterator[tuple[RequestKey, str]]:
    """Yield the messages of every request as JSON, with null where own answers belong."""
    for suite in loaded:
        if suite.suite.judge == DIALOGUES:
            docs = {item.key: item.doc for item in suite.items}
            for request in suite.requests:
                sent = sent_messages(docs[request.item], request.index)
                yield request.key, json.dumps(sent, ensure_ascii=False)
            continue
        for item, group in zip(
            suite.items, instances_of(suite.recipe, MessageTemplate()), strict=True
        ):
            repeated = [one for one in group for _ in range(one.repeats or 1)]
            for index, instance in enumerate(repeated):
                yield (item.key, index), instance.args[0]
