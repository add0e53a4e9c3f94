"""Where several arms share a pass: a layer's own product once, then each arm's low rank.

The rows of a packed row belong to different arms. What the base computes is the same for all of
them; what a LoRA adds, ``scale * up @ (down @ x)``, is added to the rows of its own arm alone, and
a DoRA multiplies their outputs first. So N arms cost one pass over the base's weights instead of N
(Punica, Chen et al. 2023; S-LoRA, Sheng et al. 2023).

`low_rank_parts` says what an adapter adds to which layer, and that it does nothing else. A `Bank`
holds the parts of some arms and, while it is `on`, adds them by hooks on the base's layers. Whoever
attaches an adapter proves that this gives PEFT's own logits (`harness.engine.adapters.switch`).

Shapes: N rows, r rank of one arm, R ranks of all arms.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from peft.tuners.lora.layer import Linear
    from torch.nn import Module

    from harness.models.protocols import CausalLM

MAX_MASKED_RANKS = 128
"""Ranks of all arms up to which rows in mixed order are multiplied with every arm's at once."""


class SharedPassError(Exception):
    """A layer was not given one row for each token, so that nothing tells the arms' rows apart."""


class LowRank(NamedTuple):
    """What an adapter adds to the output of a layer for inputs x: ``scale * up @ (down @ x)``.

    With a ``gain`` the layer's own product is multiplied by it first, and not its bias.
    """

    down: Tensor  # (r, in)
    up: Tensor  # (out, r)
    scale: float
    gain: Tensor | None = None  # (out,)


def low_rank_parts(model: "CausalLM", adapter: str) -> "dict[Module, LowRank] | None":
    """Return what an adapter adds to which layers of the base, None if it does anything else.

    Args:
        model: The base, with the adapter injected by PEFT.
        adapter: What PEFT calls it.
    """
    from peft.tuners.lora.layer import Linear
    from peft.tuners.lora.variants import DoraLinearVariant

    parts: dict[Module, LowRank] = {}
    for layer in model.modules():
        if type(layer) is not Linear or adapter not in layer.lora_A:
            continue
        variant = layer.lora_variant.get(adapter)
        if variant is None:
            parts[layer.get_base_layer()] = _low_rank(layer, adapter)
        elif type(variant) is DoraLinearVariant:
            parts[layer.get_base_layer()] = _with_gain(layer, adapter)
    own = [
        name
        for module_name, module in model.named_modules()
        for name, _ in module.named_parameters(prefix=module_name, recurse=False)
        if f".{adapter}." in f"{name}."
    ]
    used = sum(2 if part.gain is None else 3 for part in parts.values())
    head = model.get_output_embeddings()
    is_all = len(own) == used and getattr(head, "base_layer", head) not in parts
    return parts if parts and is_all else None


def _low_rank(layer: "Linear", adapter: str) -> LowRank:
    down, up = layer.lora_A[adapter].weight, layer.lora_B[adapter].weight
    return LowRank(down, up, float(layer.scaling[adapter]))


def _with_gain(layer: "Linear", adapter: str) -> LowRank:
    """Return what a DoRA adds (Liu et al. 2024): ``m / ||W + scale * up @ down||`` times both."""
    down, up, scale, _ = _low_rank(layer, adapter)
    learnt = layer.lora_magnitude_vector[adapter]
    norm = learnt.get_weight_norm(layer.get_base_layer().weight, up @ down, scale)  # (out,)
    gain = learnt.weight / norm
    return LowRank(down, up * gain[:, None], scale, gain)


@dataclass(slots=True)
class Bank:
    """The low-rank parts of the arms that share a pass; an arm's number is its place here.

    The base's parts are none.
    """

    arms: "Sequence[Mapping[Module, LowRank]]"
    _row_arms: Tensor | None = None  # (N,)
    _places: list[tuple[int, slice | Tensor]] = field(default_factory=list)

    @contextmanager
    def on(self) -> Iterator[None]:
        """Let the base's layers add each arm's part to its rows."""
        layers = dict.fromkeys(layer for parts in self.arms for layer in parts)
        hooks = []
        try:
            for layer in layers:
                added = SharedLayer([parts.get(layer) for parts in self.arms], self)
                hooks.append(layer.register_forward_hook(added))
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def tell(self, row_arms: Sequence[int]) -> None:
        """Say the number of each row's arm in the pass that follows."""
        self._row_arms = torch.tensor(row_arms)
        members: dict[int, list[int]] = {}
        for row, arm in enumerate(row_arms):
            members.setdefault(arm, []).append(row)
        self._places = [(arm, _places(rows)) for arm, rows in members.items()]

    def row_arms(self, like: Tensor) -> Tensor:
        """Return the number of each row's arm, on the device of its rows ``(N, in)``.

        Raises:
            SharedPassError: If these are not the rows of the pass.
        """
        if self._row_arms is None or len(like) != len(self._row_arms):
            raise SharedPassError("a layer does not see one row for each token")
        if self._row_arms.device != like.device:
            self._row_arms = self._row_arms.to(like.device)
        return self._row_arms

    def places(self) -> list[tuple[int, slice | Tensor]]:
        """Return where the rows of each arm of the pass stand."""
        return self._places

    @property
    def is_sorted(self) -> bool:
        """Whether the rows of each arm stand side by side."""
        return all(isinstance(place, slice) for _, place in self._places)


class SharedLayer:
    """A hook on a layer of the base that adds to each row what its arm adds there."""

    def __init__(self, parts: Sequence[LowRank | None], bank: Bank) -> None:
        known = [part for part in parts if part is not None]
        self.bank = bank
        self.down = torch.cat([part.down for part in known])  # (R, in)
        self.up = torch.cat([part.up.T for part in known])  # (R, out)
        self.scales = self.down.new_zeros(len(parts), len(self.down))  # (arms, R)
        self.gains = {
            a: p.gain for a, p in enumerate(parts) if p is not None and p.gain is not None
        }
        self.ranks: dict[int, slice] = {}
        start = 0
        for arm, part in enumerate(parts):
            if part is not None:
                self.ranks[arm] = slice(start, start + len(part.down))
                self.scales[arm, self.ranks[arm]] = part.scale
                start = self.ranks[arm].stop
                if part.gain is not None:
                    self.gains[arm] = part.gain

    def __call__(self, layer: "Module", inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        """Add to a layer's output ``(..., out)``."""
        rows = inputs[0].reshape(-1, inputs[0].shape[-1]).to(self.down.dtype)  # (N, in)
        sums = output.view(-1, output.shape[-1])  # (N, out)
        row_arms = self.bank.row_arms(rows)
        if self.gains:
            self._multiply(sums, getattr(layer, "bias", None))
        if self.bank.is_sorted or len(self.down) > MAX_MASKED_RANKS:
            self._add_arm_by_arm(rows, sums)
        else:
            masked = (rows @ self.down.T) * self.scales[row_arms]  # (N, R)
            _add_product(sums, masked, self.up)
        return output

    def _multiply(self, sums: Tensor, bias: Tensor | None) -> None:
        """Multiply the products in the rows of each arm that has a gain."""
        shift = 0.0 if bias is None else bias
        for arm, place in self.bank.places():
            if arm in self.gains:
                sums[place] = ((sums[place] - shift) * self.gains[arm] + shift).to(sums.dtype)

    def _add_arm_by_arm(self, rows: Tensor, sums: Tensor) -> None:
        """Multiply the rows of each arm with that arm's ranks alone."""
        for arm, place in self.bank.places():
            ranks = self.ranks.get(arm)
            if ranks is None:
                continue
            inner = (rows[place] @ self.down[ranks].T) * self.scales[arm, ranks]  # (n, r)
            if isinstance(place, slice):
                _add_product(sums[place], inner, self.up[ranks])
            else:
                sums[place] += (inner @ self.up[ranks]).to(sums.dtype)


def _add_product(sums: Tensor, left: Tensor, right: Tensor) -> None:
    """Add a product in place, rounded once to the dtype of the sums."""
    if sums.dtype == left.dtype:
        sums.addmm_(left, right)
    else:
        sums += left @ right


def _places(rows: list[int]) -> slice | Tensor:
    """Return ascending indices as a slice where they are neighbours."""
    together = rows[-1] - rows[0] + 1 == len(rows)
    return slice(rows[0], rows[-1] + 1) if together else torch.tensor(rows)
