"""Which arms of a study answer elsewhere, and whether their endpoints can be asked its suites."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from harness.engine.model import Answers, Drafts, Engine
from harness.engine.remote.arm import RemoteArm
from harness.engine.verified.engine import VerifiedEngine
from harness.errors import ModelError, StudyError, nearest
from harness.records import BASE, ItemKey, Request
from harness.study import ArmSection, Study
from harness.suites.load_suite import LoadedSuite, instances_of
from harness.suites.text_tokenizer import Texts, Turns

COMPLETIONS = "local-completions"

UNPROVEN = (
    "an endpoint's weights cannot be hashed, so a change behind the same name goes unnoticed; "
    "token ids were not compared, but all arms were sent the same texts (to a chat endpoint: the "
    "same messages, which the server lays out by its own chat template)"
)


@dataclass(frozen=True, slots=True)
class Arms:
    """All arms of a study, wherever they answer; ``local`` is None where all answer elsewhere."""

    local: Engine | VerifiedEngine | None
    remote: Mapping[str, RemoteArm]

    @property
    def notes(self) -> list[str]:
        """What a person should know about how the arms answered."""
        here = self.local.notes if self.local else []
        elsewhere = [f"{name} is {arm.section.endpoint}" for name, arm in self.remote.items()]
        return [*here, *elsewhere, UNPROVEN]

    def fingerprint(self, arm: str) -> str:
        """Return the sha256 of everything that is known to change an answer of this arm."""
        if arm in self.remote:
            return self.remote[arm].fingerprint
        return self._here.fingerprint(arm)

    def check(self, arm: str, requests: Sequence[Request]) -> None:
        """Try a remote arm on requests that it is about to get; see `RemoteArm.check`."""
        if arm in self.remote and requests:
            self.remote[arm].check(requests)

    def answer(
        self, arm: str, requests: Sequence[Request], *, drafts: Drafts | None = None
    ) -> Iterator[Answers]:
        """Answer requests of any kinds, yielding batches as they are done, in no set order."""
        if arm in self.remote:
            return self.remote[arm].answer(requests)
        return self._here.answer(arm, requests, drafts=drafts)

    @property
    def _here(self) -> Engine | VerifiedEngine:
        assert self.local is not None
        return self.local


def remote_sections(study: Study) -> dict[str, ArmSection]:
    """Return the sections of the arms that answer elsewhere, by the arm's name."""
    sections: dict[str, ArmSection] = {BASE: study.base, **{c.name: c for c in study.candidates}}
    return {name: section for name, section in sections.items() if section.backend}


def takes_turns(section: ArmSection) -> bool:
    """Say whether a backend takes conversations, not text: lm-eval has it in every such name."""
    return "chat" in (section.backend or "")


def stand_in(study: Study) -> Texts | None:
    """Return what makes the prompts of a study whose base names no tokenizer, else None."""
    return None if study.base.model else Texts(chat=takes_turns(study.base))


def check_endpoints(study: Study, loaded: Sequence[LoadedSuite]) -> None:
    """Refuse what a backend can never answer; contacts nothing.

    Raises:
        StudyError: If a backend or argument is unknown or missing, or a suite cannot be put to it.
    """
    for name, section in remote_sections(study).items():
        _check_arguments(name, section)
        for asked, suite in zip(study.suites, loaded, strict=True):
            problem = _cannot(section, suite)
            if asked.truncation == "left" and (study.base.backend or takes_turns(section)):
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
    if find_spec("tenacity") is None:
        raise StudyError(f"{name!r} needs 'pip install finetune-harness[endpoints]'")
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


def _cannot(section: ArmSection, suite: LoadedSuite) -> str | None:
    """Say why a suite's requests cannot be put to a backend."""
    likelihoods = any(request.kind != "generate_until" for request in suite.requests)
    without_tokenizer = isinstance(suite.tokenizer, Texts)
    if takes_turns(section):
        if likelihoods:
            return (
                "it needs log-likelihoods, which chat endpoints do not give; leave the suite out, "
                f"or use {COMPLETIONS} on a server that returns those of the prompt"
            )
        if not suite.asking.chat:
            return (
                "it is plain text (no chat template), and a chat endpoint would lay it out by its "
                f"own; use {COMPLETIONS}"
            )
    elif without_tokenizer and suite.asking.chat:
        return (
            "the base takes conversations and this arm takes text; name the model whose chat "
            "template turns one into the other as base.model"
        )
    elif without_tokenizer and likelihoods and _tokenizes_nothing(section):
        return "log-likelihoods need a tokenizer: name its model as base.model"
    return None


def _tokenizes_nothing(section: ArmSection) -> bool:
    named = {"tokenizer", "tokenizer_backend"} & section.model_args.keys()
    return section.backend == COMPLETIONS and not named


def remote_arms(
    study: Study, loaded: Sequence[LoadedSuite], *, allow_identical: bool = False
) -> dict[str, RemoteArm]:
    """Return the arms that answer elsewhere, by name; contacts nothing.

    Raises:
        ModelError: If a candidate is the base's own endpoint and model, unless allowed.
    """
    made: dict[str, RemoteArm] = {}
    for name, section in remote_sections(study).items():
        tokenizer = loaded[0].tokenizer
        counts = not isinstance(tokenizer, Texts)
        made[name] = RemoteArm(
            name=name,
            section=section,
            model_args=_completed(section, study.model_path if counts else None),
            conversations=dict(_conversations(loaded)) if takes_turns(section) else {},
            tokenizer=tokenizer if counts else None,
        )
    base = made.get(BASE)
    for name, arm in made.items():
        if base and arm is not base and arm.fingerprint == base.fingerprint and not allow_identical:
            raise ModelError(
                f"candidate {name!r} is the base's own endpoint and model, "
                f"{arm.section.endpoint}; name the tuned one, or allow it with --allow-identical"
            )
    return made


def _completed(section: ArmSection, tokenizer: str | None) -> Mapping[str, Any]:
    """Give lm-eval's text completions the tokenizer of every other arm, or none."""
    given = dict(section.model_args)
    if section.backend != COMPLETIONS or "tokenizer_backend" in given:
        return given
    if tokenizer or "tokenizer" in given:
        return {"tokenizer": tokenizer, "tokenizer_backend": "huggingface"} | given
    return {"tokenizer_backend": "none", "tokenized_requests": False} | given


def _conversations(loaded: Sequence[LoadedSuite]) -> Iterator[tuple[tuple[ItemKey, int], str]]:
    """Lay every request out once more, as turns."""
    for suite in loaded:
        for item, group in zip(suite.items, instances_of(suite.asking, Turns()), strict=True):
            repeated = [one for one in group for _ in range(one.repeats or 1)]
            for index, instance in enumerate(repeated):
                yield (item.key, index), instance.args[0]
