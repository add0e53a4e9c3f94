"""The engine: load the base once, score shared prefixes once, switch adapters, lose nothing.

`open_engine` chooses the engine: that of `model`, or `verified`'s two, where float32 looks again at
what bf16 answered if a verdict could flip. `model` answers through `prefix` (what is shared is
computed once) and `decoding`, or through `padded` batches where attention cannot be packed;
`adapters` are switched on the loaded base, `remote` arms answer elsewhere. `lm_eval_model` is
lm-eval's door, `interim` scores a model in training, `reply` answers in a conversation.
"""

from harness.engine.model import Engine
from harness.engine.open import LocalEngine, arm_fingerprints, open_engine
from harness.engine.verified.engine import VerifiedEngine
from harness.models.load_model import context_length, load_tokenizer
from harness.suites.load_suite import LoadedSuite, check_same_ids, load_suite

__all__ = [
    "Engine", "LoadedSuite", "LocalEngine", "VerifiedEngine", "arm_fingerprints", "check_same_ids",
    "context_length", "load_suite", "load_tokenizer", "open_engine",
]  # fmt: skip
