"""Training objectives: one entry each, with its default hyperparameters and their sources.

A study names an objective beside the method; the method says which weights change, the objective
what they learn from. TRL trains all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.errors import DataError
from harness.records import Example
from harness.training.config.methods import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """One training objective, and TRL's configuration for it.

    ``config`` is TRL's configuration class and ``source`` the file of the trl package that declares
    it. ``training`` are our defaults by TRL's names; ``rate`` is the share of the method's learning
    rate. ``pairs`` says that a row holds a chosen and a rejected answer, ``reference`` that the
    loss also needs a reference model's log-probabilities.
    """

    name: str
    summary: str
    config: str
    source: str
    training: Settings = field(default_factory=dict)
    rate: float = 1.0
    pairs: bool = True
    reference: bool = False


OBJECTIVES: dict[str, Objective] = {
    objective.name: objective
    for objective in (
        Objective(
            name="sft",
            summary="say what the rows say",
            config="SFTConfig",
            source="trainer/sft_config.py",
            pairs=False,
        ),
        Objective(
            name="dpo",
            summary="prefer the chosen answer to the rejected one, staying near the base",
            config="DPOConfig",
            source="trainer/dpo_config.py",
            # One epoch: pairs are soon memorized, and the answers then drift.
            training={"num_train_epochs": 1, "beta": 0.1},
            rate=0.025,  # Zephyr's recipes: 5e-7 for all weights, 5e-6 for an adapter
            reference=True,
        ),
        Objective(
            name="orpo",
            summary="learn the chosen answer and disfavour the rejected one, without a reference",
            config="ORPOConfig",
            source="experimental/orpo/orpo_config.py",
            training={"beta": 0.1},
            rate=0.4,  # 8e-6 for all weights: Hong 2024, appendix
        ),
        Objective(
            name="kto",
            summary="as dpo, with each answer judged alone: also where pairs are noisy",
            config="KTOConfig",
            source="trainer/kto_config.py",
            training={"num_train_epochs": 1, "beta": 0.1},
            rate=0.025,  # 5e-7 for all weights: Ethayarajh 2024, section 4.2
            reference=True,
        ),
    )
}
"""Objective name -> objective."""


def check_rows(objective: str, examples: Sequence[Example]) -> None:
    """Refuse rows that an objective (by its name) cannot learn from.

    Raises:
        DataError: If pairs are given where one answer a row is needed, or the other way round, or
            an answer that says of itself that it is a bad one.
    """
    for example in examples:
        if example.desirable is not None and objective == "kto":
            continue
        if example.desirable is False and objective == "sft":
            raise DataError(
                f"objective 'sft' would learn to say what 'label: false' calls undesirable: "
                f"{example.origin}; set 'objective: kto', or leave such rows out"
            )
        paired = example.rejected is not None
        if paired and not OBJECTIVES[objective].pairs:
            raise DataError(
                f"objective 'sft' learns from one answer a row: {example.origin} is a preference "
                "pair (chosen, rejected); set 'objective' to dpo, orpo or kto, or keep 'chosen' "
                "under the name 'completion'"
            )
        judged = ", nor a 'label' of true or false" if objective == "kto" else ""
        if not paired and OBJECTIVES[objective].pairs:
            raise DataError(
                f"objective {objective!r} learns from preference pairs: {example.origin} has "
                f"no 'chosen' and 'rejected'{judged}; add them, or set 'objective: sft'"
            )
