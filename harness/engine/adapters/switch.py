"""Adapters attached to one loaded base, activated alone or together, and proven to act."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch import Tensor

from harness.engine import padded
from harness.engine.adapters import prompt_tuning
from harness.engine.adapters.bank import Bank, LowRank, SharedPassError, low_rank_parts
from harness.engine.adapters.neutral import adds_nothing
from harness.engine.prefix import attention
from harness.engine.prefix.attention import CachedPrefix, UnsupportedAttentionError
from harness.engine.prefix.parity_check import (
    largest_difference,
    packed_logits,
    packed_logprobs_match,
    padded_logprobs,
)
from harness.engine.prefix.prefill import OutOfMemoryError, Runner
from harness.errors import ModelError, nearest
from harness.models.adapter_folder import AdapterFolder, check_shapes, read_adapter_folder
from harness.models.adapter_tensors import (
    Tensors,
    apply_tensors,
    base_weights,
    changed_tokens,
    check_finite,
    check_virtual_tokens,
    new_adapter,
    read_tensors,
    reason_of,
)
from harness.models.candidate import load_whole_candidate
from harness.models.fingerprint import adapter_fingerprint
from harness.models.load_model import load_model_for_scoring, neutral_generation
from harness.models.protocols import CausalLM
from harness.records import BASE
from harness.study import BaseSection

if TYPE_CHECKING:
    from peft import PeftModel

Placement = Literal["base", "injected", "virtual_tokens", "separate"]
"""How an arm runs: the base itself; an adapter injected into the loaded base; virtual tokens before
every prompt; or a separate model (full fine-tunes, adapters that rewrite base weights, train biases
or tokens, or clash with those already injected)."""


MOST_INJECTED = 8
"""Adapters that PEFT holds at once: it walks over all of them whenever one is put in or activated.
Others are put aside and read again when they are activated."""


@dataclass(frozen=True, slots=True)
class AttachedArm:
    """An arm that can be activated; the base's has no folder.

    ``fingerprint`` is the sha256 of everything that can change an answer of it; ``adapter`` is what
    PEFT calls it, which no module of a base is called.
    """

    placement: Placement
    folder: AdapterFolder | None
    fingerprint: str
    adapter: str = ""


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
    _low_rank: dict[str, dict[torch.nn.Module, LowRank]] = field(default_factory=dict)
    _attached: int = 0
    _injected: list[str] = field(default_factory=list)  # as PEFT calls them, the latest last
    _base_state: Tensors = field(init=False)
    _base_logits: Tensor = field(init=False)  # (1, T, V)

    def __post_init__(self) -> None:
        self._base_state = self.base.state_dict()
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
        tensors: Tensors = {}
        if folder.is_adapter:
            if not folder.is_prompt_learning:
                check_shapes(folder, self.base)
            tensors = read_tensors(folder, self.base)
            self._probe_tokens(changed_tokens(folder, tensors, self._base_state))
        placement = self._placement(folder, tensors)
        fingerprint = adapter_fingerprint(self.arms[BASE].fingerprint, folder.identity)
        self._attached += 1
        adapter = f"candidate{self._attached:04}"
        self.arms[name] = AttachedArm(placement, folder, fingerprint, adapter)
        self.identical.discard(name)
        self._low_rank.pop(name, None)
        try:
            if placement == "injected":
                self._inject(adapter, folder, tensors)
            logits = self._check_effect(name, folder, allow_identical=allow_identical)
            self._let_share(name, logits)
        except ModelError:
            del self.arms[name]
            raise
        return folder.weights_sha256

    def _placement(self, folder: AdapterFolder, tensors: Tensors) -> Placement:
        if folder.is_prompt_learning:
            return "virtual_tokens"
        kinds = {
            arm.folder.kind
            for arm in self.arms.values()
            if arm.placement == "injected" and arm.folder
        }
        if not folder.is_adapter or folder.needs_own_base or not kinds <= {folder.kind}:
            return "separate"
        clashes = self._changes_base(folder, tensors) or self._overlaps(folder, tensors)
        return "separate" if clashes else "injected"

    def _overlaps(self, folder: AdapterFolder, tensors: Tensors) -> bool:
        """Whether it keeps a module whole that another one adapts, or the other way round."""
        from peft.tuners.tuners_utils import BaseTunerLayer
        from peft.utils import ModulesToSaveWrapper

        names = [name.removeprefix("base_model.model.") for name in tensors]
        for module_name, module in self.base.named_modules():
            keeps = any(f".{kept}." in f".{module_name}." for kept in folder.kept_modules)
            if isinstance(module, BaseTunerLayer) and keeps:
                return True
            kept_by_another = isinstance(module, ModulesToSaveWrapper) and not keeps
            if kept_by_another and any(name.startswith(f"{module_name}.") for name in names):
                return True
        return False

    def _probe_tokens(self, tokens: list[int]) -> None:
        """Put a token that an adapter learnt into the probe, which would miss its effect."""
        known = set(self.probe[0].tolist())
        if tokens and not known.intersection(tokens):
            last = torch.tensor([[tokens[0]]]).to(self.probe)
            self.probe = torch.cat([self.probe, last], dim=1)
            with self.active(BASE) as arm:
                self._base_logits = padded.logits_of(arm.full_model, self.probe)

    def _changes_base(self, folder: AdapterFolder, tensors: Tensors) -> bool:
        """Whether a file brings weights of the base, such as embeddings, that are not its own."""
        for name in base_weights(folder, tensors, self._base_state):
            plain = name.removeprefix("base_model.model.")
            plain = plain.replace(".base_layer.", ".").replace(".original_module.", ".")
            own = self._base_state.get(plain)
            if own is None or own.shape != tensors[name].shape:
                return True
            if not torch.equal(tensors[name].to(own), own):
                return True
        return False

    def _inject(self, adapter: str, folder: AdapterFolder, tensors: Tensors) -> None:
        while len(self._injected) >= MOST_INJECTED:
            self._remove(self._injected.pop(0))
        with _one_sentence(folder):
            self._peft_model = new_adapter(self.base, self._peft_model, adapter, folder)
            try:
                apply_tensors(self._peft_model, adapter, folder, tensors)
            except ModelError:
                self._remove(adapter)
                raise
        self._injected.append(adapter)
        self._peft_model.eval().requires_grad_(requires_grad=False)

    def _inject_again(self, arm: AttachedArm) -> None:
        """Put in an adapter that was put aside, if it is what it was.

        Raises:
            ModelError: If its folder holds something else by now.
        """
        assert arm.folder is not None
        if arm.adapter in self._injected:
            self._injected.remove(arm.adapter)
            self._injected.append(arm.adapter)
            return
        folder = read_adapter_folder(arm.folder.path)
        if adapter_fingerprint(self.arms[BASE].fingerprint, folder.identity) != arm.fingerprint:
            raise ModelError(
                f"an adapter must stay as it is while it answers: {folder.path} changed since it "
                "was attached; run the study again"
            )
        self._inject(arm.adapter, folder, read_tensors(folder, self.base))

    def _remove(self, adapter: str) -> None:
        """Take a refused adapter out of the base again."""
        assert self._peft_model is not None
        if len(self._peft_model.peft_config) > 1:
            self._peft_model.delete_adapter(adapter)
        else:
            self._peft_model.unload()
            self._peft_model = None

    def _check_effect(self, name: str, folder: AdapterFolder, *, allow_identical: bool) -> Tensor:
        """Refuse a candidate that changes no logit of the probe, or that changes the base's.

        Returns:
            Its logits on the probe, ``(1, T, V)``.
        """
        with self.active(name) as arm, _one_sentence(folder):
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
        return tuned

    def _let_share(self, name: str, logits: Tensor) -> None:
        """Let an arm share passes, if that provably gives its own logits and leaves the base's.

        Base and arm read the probe in one pass. Each must be as near to PEFT's logits as another
        order of float sums explains, and the arm much nearer than the base is.
        """
        arm = self.arms[name]
        if arm.placement != "injected" or not self.packs or name in self.padded_arms:
            return
        parts = low_rank_parts(self.base, arm.adapter)
        if parts is None:
            return
        self._low_rank[name] = parts
        effect = float((logits - self._base_logits).abs().max())
        errors = (RuntimeError, ValueError, TypeError, AttributeError, IndexError, KeyError)
        refused = (SharedPassError, UnsupportedAttentionError, OutOfMemoryError)
        try:
            with self.together([BASE, name]):
                found = packed_logits(self.runner, self.probe[0].tolist(), arms=2)  # (2, T, V)
            error = float((found - torch.cat([self._base_logits, logits])).abs().max())
            proven = error <= min(largest_difference(self.runner), effect / 2)
        except (*refused, *errors):
            proven = False
        if not proven:
            del self._low_rank[name]

    def shares(self, name: str) -> bool:
        """Whether an arm can share a pass: the base, and what provably only adds low rank."""
        return self.packs and (self[name].placement == "base" or name in self._low_rank)

    @contextmanager
    def together(self, names: Sequence[str]) -> Iterator[ActiveArm]:
        """Activate several arms that share passes; their numbers are their places.

        Raises:
            RuntimeError: If another arm is still answering.
        """
        bank = Bank([self._low_rank[name] if name != BASE else {} for name in names])
        with self._in_turn():
            self._separate = None
            if self._peft_model is not None:
                self._peft_model.base_model.disable_adapter_layers()
            self.runner.tell_arms = bank.tell
            try:
                with bank.on():
                    yield ActiveArm(self.base, False, self.base)
            finally:
                self.runner.tell_arms = None

    @contextmanager
    def active(self, name: str) -> Iterator[ActiveArm]:
        """Activate one arm.

        Raises:
            RuntimeError: If another arm is still answering.
        """
        arm = self[name]
        with self._in_turn():
            if self._separate is not None and self._separate[0] != name:
                self._separate = None
            if arm.placement == "injected":
                self._inject_again(arm)
            if self._peft_model is not None:
                if arm.placement == "injected":
                    self._peft_model.base_model.enable_adapter_layers()
                    self._peft_model.set_adapter(arm.adapter)
                else:
                    self._peft_model.base_model.disable_adapter_layers()
            if arm.placement in ("base", "injected"):
                yield ActiveArm(self.base, not self.packs, self.base)
            else:
                self._separate = self._separate or (name, self._load_separate(arm))
                yield self._separate[1]

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        if self._in_use:
            raise RuntimeError("one arm answers at a time: finish or close the first answers")
        self._in_use = True
        try:
            yield
        finally:
            self._in_use = False

    def _load_separate(self, arm: AttachedArm) -> ActiveArm:
        """Load what is not injected into the base; it is freed when another arm is activated."""
        from peft import PeftModel

        assert arm.folder is not None
        folder, path = arm.folder, str(arm.folder.path)
        if arm.placement == "virtual_tokens":
            check_virtual_tokens(folder, read_tensors(folder, self.base))
            with _one_sentence(folder):
                adapted = PeftModel.from_pretrained(self.base, path).eval()
            return self._prompt_tuned(adapted)
        if folder.is_adapter:
            own_base = load_model_for_scoring(self.origin.model, self.origin)
            with _one_sentence(folder):
                adapted = new_adapter(own_base, None, arm.adapter, folder)
                apply_tensors(adapted, arm.adapter, folder, read_tensors(folder, own_base))
            model = adapted.eval().requires_grad_(requires_grad=False).get_base_model()
        else:
            model = load_whole_candidate(folder.path, self.origin, self.base)
            check_finite(folder.path, list(model.state_dict().items()))
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


@contextmanager
def _one_sentence(folder: AdapterFolder) -> Iterator[None]:
    """Turn what PEFT raises for an adapter that does not fit into an error of one sentence."""
    try:
        yield
    except (RuntimeError, ValueError, LookupError, OSError, TypeError, AttributeError) as error:
        reason = reason_of(error)
        raise ModelError(f"an adapter must fit the base: {folder.path}: {reason}") from error
