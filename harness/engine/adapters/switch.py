"""Adapters attached to one loaded base, activated one at a time, and proven to act."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch import Tensor

from harness.engine import padded
from harness.engine.adapters import prompt_tuning
from harness.engine.adapters.neutral import adds_nothing
from harness.engine.prefix import attention
from harness.engine.prefix.attention import CachedPrefix
from harness.engine.prefix.parity_check import packed_logprobs_match, padded_logprobs
from harness.engine.prefix.prefill import Runner
from harness.errors import ModelError, nearest
from harness.models.adapter_folder import AdapterFolder, check_shapes, read_adapter_folder
from harness.models.fingerprint import adapter_fingerprint
from harness.models.load_model import load_model_for_scoring, neutral_generation
from harness.models.protocols import CausalLM
from harness.records import BASE
from harness.study import BaseSection

if TYPE_CHECKING:
    from peft import PeftModel

Placement = Literal["base", "injected", "virtual_tokens", "separate"]
"""How an arm runs: the base itself; an adapter injected into the loaded base; virtual tokens before
every prompt; or a separate model (full fine-tunes, adapters that rewrite base weights or clash with
those already injected)."""


@dataclass(frozen=True, slots=True)
class AttachedArm:
    """An arm that can be activated; the base's has no folder.

    ``fingerprint`` is the sha256 of everything that can change an answer of it.
    """

    placement: Placement
    folder: AdapterFolder | None
    fingerprint: str


class ActiveArm(NamedTuple):
    """The arm whose weights are active.

    ``model`` is what packed attention runs, with ``virtual_prefix`` before every prompt;
    ``full_model`` gives the arm's logits by an ordinary forward pass. ``needs_padding`` says that
    only the latter is right, in padded batches.
    """

    model: CausalLM
    needs_padding: bool
    full_model: CausalLM
    virtual_prefix: CachedPrefix | None = None


@dataclass(slots=True)
class AdapterSwitch:
    """The loaded base and its arms.

    ``origin`` says how the base was loaded, ``probe`` (1, T) is a prompt by whose logits models are
    compared, ``packs`` whether packed attention is used, ``padded_arms`` the arms that need
    padded batches, ``identical`` those that are proven to give the base's logits.
    """

    base: CausalLM
    runner: Runner
    origin: BaseSection
    probe: Tensor
    packs: bool
    pad: int
    arms: dict[str, AttachedArm]
    padded_arms: set[str] = field(default_factory=set)
    identical: set[str] = field(default_factory=set)
    _peft_model: "PeftModel | None" = None
    _separate: tuple[str, ActiveArm] | None = None
    _in_use: bool = False
    _base_logits: Tensor = field(init=False)  # (1, T, V)

    def __post_init__(self) -> None:
        self._base_logits = padded.logits_of(self.base, self.probe)

    def __getitem__(self, name: str) -> AttachedArm:
        if name not in self.arms:
            raise ModelError(f"no arm {name!r} is attached{nearest(name, self.arms)}")
        return self.arms[name]

    @property
    def virtual_tokens(self) -> int:
        """How many tokens of the context the attached adapters take at most."""
        return max((a.folder.virtual_tokens for a in self.arms.values() if a.folder), default=0)

    def attach(self, name: str, path: Path, *, allow_identical: bool = False) -> str:
        """Attach a folder under a name; see `harness.engine.Engine.attach`."""
        folder = read_adapter_folder(Path(path))
        if folder.is_adapter and not folder.is_prompt_learning:
            check_shapes(folder, self.base)
        placement = self._placement(folder)
        fingerprint = adapter_fingerprint(self.arms[BASE].fingerprint, folder.identity)
        self.arms[name] = AttachedArm(placement, folder, fingerprint)
        self.identical.discard(name)
        try:
            if placement == "injected":
                self._inject(name, folder)
            self._check_effect(name, folder, allow_identical=allow_identical)
        except ModelError:
            del self.arms[name]
            raise
        return folder.weights_sha256

    def _placement(self, folder: AdapterFolder) -> Placement:
        if folder.is_prompt_learning:
            return "virtual_tokens"
        kinds = {
            arm.folder.kind
            for arm in self.arms.values()
            if arm.placement == "injected" and arm.folder
        }
        if not folder.is_adapter or folder.rewrites_base or not kinds <= {folder.kind}:
            return "separate"
        return "injected"

    def _inject(self, name: str, folder: AdapterFolder) -> None:
        from peft import PeftModel

        try:
            if self._peft_model is None:
                self._peft_model = PeftModel.from_pretrained(
                    self.base, str(folder.path), adapter_name=name
                )
            else:
                self._peft_model.load_adapter(str(folder.path), adapter_name=name)
        except (RuntimeError, ValueError, KeyError, OSError, TypeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise ModelError(f"an adapter must fit the base: {folder.path}: {reason}") from error
        self._peft_model.eval().requires_grad_(requires_grad=False)

    def _check_effect(self, name: str, folder: AdapterFolder, *, allow_identical: bool) -> None:
        """Refuse a candidate that changes no logit of the probe, or that changes the base's."""
        with self.active(name) as arm:
            tuned = padded.logits_of(arm.full_model, self.probe)
            if arm.needs_padding:
                self.padded_arms.add(name)
        if tuned.shape != self._base_logits.shape:
            raise ModelError(
                f"a candidate must keep the base's vocabulary of {self._base_logits.shape[-1]}: "
                f"{folder.path} has {tuned.shape[-1]}"
            )
        if torch.equal(tuned, self._base_logits):
            if not allow_identical:
                raise ModelError(
                    f"the adapter changes nothing: {folder.path} gives the base's own logits; "
                    "train it, or pass --allow-identical if that is meant"
                )
            if adds_nothing(folder):
                self.identical.add(name)
        with self.active(BASE) as arm:
            again = padded.logits_of(arm.full_model, self.probe)
        if not torch.equal(again, self._base_logits):
            raise ModelError(
                "an adapter must leave the base as it was: its logits differ after attaching "
                f"{folder.path}"
            )

    @contextmanager
    def active(self, name: str) -> Iterator[ActiveArm]:
        """Activate an arm.

        Raises:
            RuntimeError: If another arm is still answering.
        """
        arm = self[name]
        if self._in_use:
            raise RuntimeError("one arm answers at a time: finish or close the first answers")
        self._in_use = True
        try:
            if self._separate is not None and self._separate[0] != name:
                self._separate = None
            if self._peft_model is not None:
                if arm.placement == "injected":
                    self._peft_model.base_model.enable_adapter_layers()
                    self._peft_model.set_adapter(name)
                else:
                    self._peft_model.base_model.disable_adapter_layers()
            if arm.placement in ("base", "injected"):
                yield ActiveArm(self.base, not self.packs, self.base)
            else:
                self._separate = self._separate or (name, self._load_separate(arm))
                yield self._separate[1]
        finally:
            self._in_use = False

    def _load_separate(self, arm: AttachedArm) -> ActiveArm:
        """Load what is not injected into the base; it is freed when another arm is activated."""
        from peft import PeftModel

        assert arm.folder is not None
        path = str(arm.folder.path)
        if arm.placement == "virtual_tokens":
            return self._prompt_tuned(PeftModel.from_pretrained(self.base, path).eval())
        if arm.folder.is_adapter:
            own_base = load_model_for_scoring(self.origin.model, self.origin)
            model = PeftModel.from_pretrained(own_base, path).eval().get_base_model()
        else:
            model = load_model_for_scoring(path, self.origin.model_copy(update={"revision": None}))
        neutral_generation(model, pad=self.pad)
        if self.packs:
            model.set_attn_implementation(attention.NAME)
        return ActiveArm(model, not self.packs, model)

    def _prompt_tuned(self, adapted: "PeftModel") -> ActiveArm:
        """Turn virtual tokens into keys and values, if that provably gives the same answers."""
        in_padded_batches = ActiveArm(adapted, True, adapted)
        if not self.packs:
            return in_padded_batches
        try:
            probe = self.probe[0].tolist()
            expected = padded_logprobs(adapted, probe)
            prefix = self.runner.virtual_prefix = prompt_tuning.virtual_prefix(adapted, self.runner)
            same = packed_logprobs_match(expected, self.runner, probe)
        except (RuntimeError, ValueError, TypeError, AttributeError, IndexError, KeyError):
            same = False
        finally:
            self.runner.virtual_prefix = None
        return ActiveArm(self.base, False, adapted, prefix) if same else in_padded_batches
