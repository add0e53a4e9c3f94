"""The engine: one loaded base with switchable adapters, shared prefixes prefilled once.

`open_engine` chooses the engine: that of `model`, or `verified`, where float32 rechecks what bf16
answered if a verdict could flip. `model` answers through `prefix` (the KV cache of shared prefixes)
and `decoding`, or through `padded` batches where attention cannot be packed; `adapters` lets arms
share a pass, or switches adapters on the loaded base, `remote` answers through endpoints.
`lm_eval_model` registers the engine with lm-eval, `interim` answers during training, `reply` in a
chat.
`arm_fingerprints` says what an arm's answers depend on, without loading weights.
"""

from harness.engine.model import Engine
from harness.engine.open import LocalEngine, arm_fingerprints, open_engine
from harness.engine.verified.engine import VerifiedEngine
from harness.models.load_model import context_length, load_tokenizer
from harness.suites.load_suite import LoadedSuite, load_suite
from harness.suites.same_ids import check_same_ids

__all__ = [
    "Engine", "LoadedSuite", "LocalEngine", "VerifiedEngine", "arm_fingerprints", "check_same_ids",
    "context_length", "load_suite", "load_tokenizer", "open_engine",
]  # fmt: skip
