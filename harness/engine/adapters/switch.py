"""Adapters attached to one loaded base, made active one at a time, and proven to act."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from harness.engine import padded
from harness.engine.adapters import folder as arms
from harness.engine.adapters import prompt_tuning
from harness.engine.adapters.folder import AdapterFolder, Way
from harness.engine.prefix import attention
from harness.engine.prefix.attention import CachedPrefix
from harness.engine.prefix.parity_check import packed_logprobs_match, padded_logprobs
from harness.engine.prefix.prefill import Runner
from harness.errors import ModelError, nearest
from harness.models.fingerprint import text_hash
from harness.models.load_model import load_model_for_scoring, neutral_generation
from harness.records import BASE
from harness.study import BaseSection


@dataclass(frozen=True, slots=True)
class Arm:
    """One thing that answers: ``fingerprint`` is the sha256 of all that can change its answers."""

    way: Way
    folder: AdapterFolder | None
    fingerprint: str


class Stage(NamedTuple):
    """An arm made active: its model, whether it must run in plain batches, its virtual tokens.

    ``whole`` is what a plain forward pass goes through.
    """

    model: Any
    slow: bool
    whole: Any
    root: CachedPrefix | None = None


@dataclass(slots=True)
class Switch:
    """The base and its arms.

    ``origin`` says how the base was loaded, ``probe`` the ids of a prompt by whose
    logits models are told apart, ``packs`` whether attention is packed.
    """

    base: Any
    runner: Runner
    origin: BaseSection
    probe: Tensor
    packs: bool
    pad: int
    arms: dict[str, Arm]
    slow: set[str] = field(default_factory=set)
    _adapted: Any = None
    _guest: tuple[str, Stage] | None = None
    _busy: bool = False
    _base_logits: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self._base_logits = padded.logits_of(self.base, self.probe)

    def __getitem__(self, name: str) -> Arm:
        if name not in self.arms:
            raise ModelError(f"no arm {name!r} is attached{nearest(name, self.arms)}")
        return self.arms[name]

    @property
    def virtual_tokens(self) -> int:
        """How many tokens of the context the attached adapters take at most."""
        return max((a.folder.virtual_tokens for a in self.arms.values() if a.folder), default=0)

    def attach(self, name: str, path: Path, *, allow_identical: bool = False) -> str:
        """Attach a folder under a name; see `harness.engine.Engine.attach`."""
        folder = arms.look(Path(path))
        if folder.is_adapter and not folder.is_prompt:
            arms.check_fits(folder, self.base)
        way = self._way(folder)
        mark = text_hash([self.arms[BASE].fingerprint, folder.identity])
        self.arms[name] = Arm(way, folder, mark)
        try:
            if way == "shared":
                self._inject(name, folder)
            self._prove(name, allow_identical=allow_identical)
        except ModelError:
            del self.arms[name]
            raise
        return folder.weights_sha256

    def _way(self, folder: AdapterFolder) -> Way:
        if folder.is_prompt:
            return "prompt"
        kinds = {a.folder.kind for a in self.arms.values() if a.way == "shared" and a.folder}
        if not folder.is_adapter or folder.rewrites_base or not kinds <= {folder.kind}:
            return "own"
        return "shared"

    def _inject(self, name: str, folder: AdapterFolder) -> None:
        from peft import PeftModel

        try:
            if self._adapted is None:
                self._adapted = PeftModel.from_pretrained(
                    self.base, str(folder.path), adapter_name=name
                )
            else:
                self._adapted.load_adapter(str(folder.path), adapter_name=name)
        except (RuntimeError, ValueError, KeyError, OSError, TypeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise ModelError(f"an adapter must fit the base: {folder.path}: {reason}") from error
        self._adapted.eval().requires_grad_(requires_grad=False)

    def _prove(self, name: str, *, allow_identical: bool) -> None:
        folder = self.arms[name].folder
        with self.active(name) as stage:
            tuned = padded.logits_of(stage.whole, self.probe)
            if stage.slow:
                self.slow.add(name)
        if tuned.shape != self._base_logits.shape:
            raise ModelError(
                f"a candidate must keep the base's vocabulary of {self._base_logits.shape[-1]}: "
                f"{folder and folder.path} has {tuned.shape[-1]}"
            )
        if torch.equal(tuned, self._base_logits) and not allow_identical:
            raise ModelError(
                f"the adapter changes nothing: {folder and folder.path} gives the base's own "
                "logits; train it, or pass --allow-identical if that is meant"
            )
        with self.active(BASE) as stage:
            again = padded.logits_of(stage.whole, self.probe)
        if not torch.equal(again, self._base_logits):
            raise ModelError(
                "an adapter must leave the base as it was: its logits differ after attaching "
                f"{folder and folder.path}"
            )

    @contextmanager
    def active(self, name: str) -> Iterator[Stage]:
        """Make an arm the active one.

        Raises:
            RuntimeError: If another arm is still answering.
        """
        arm = self[name]
        if self._busy:
            raise RuntimeError("one arm answers at a time: finish or close the first answers")
        self._busy = True
        try:
            if self._guest is not None and self._guest[0] != name:
                self._guest = None
            if self._adapted is not None and arm.way != "shared":
                self._adapted.base_model.disable_adapter_layers()
            if arm.way == "shared":
                self._adapted.base_model.enable_adapter_layers()
                self._adapted.set_adapter(name)
            if arm.way in ("base", "shared"):
                yield Stage(self.base, not self.packs, self.base)
            else:
                self._guest = self._guest or (name, self._visitor(arm))
                yield self._guest[1]
        finally:
            self._busy = False

    def _visitor(self, arm: Arm) -> Stage:
        """Load what cannot live inside the shared base; it stays until another arm is active."""
        from peft import PeftModel

        assert arm.folder is not None
        path = str(arm.folder.path)
        if arm.way == "prompt":
            return self._prompted(PeftModel.from_pretrained(self.base, path).eval())
        if arm.folder.is_adapter:
            whole = load_model_for_scoring(self.origin.model, self.origin)
            model = PeftModel.from_pretrained(whole, path).eval().get_base_model()
        else:
            model = load_model_for_scoring(path, self.origin.model_copy(update={"revision": None}))
        neutral_generation(model, pad=self.pad)
        if self.packs:
            model.set_attn_implementation(attention.NAME)
        return Stage(model, not self.packs, model)

    def _prompted(self, adapted: Any) -> Stage:
        """Turn virtual tokens into keys and values, if that provably gives the same answers."""
        plain_stage = Stage(adapted, True, adapted)
        if not self.packs:
            return plain_stage
        try:
            probe = self.probe[0].tolist()
            expected = padded_logprobs(adapted, probe)
            root = self.runner.virtual_prefix = prompt_tuning.root_of(adapted, self.runner)
            same = packed_logprobs_match(expected, self.runner, probe)
        except (RuntimeError, ValueError, TypeError, AttributeError, IndexError, KeyError):
            same = False
        finally:
            self.runner.virtual_prefix = None
        return Stage(self.base, False, adapted, root) if same else plain_stage
