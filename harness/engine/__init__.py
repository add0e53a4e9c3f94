"""The engine: load the base once, score shared prefixes once, switch adapters, lose nothing.

In the order of a run: `task` and `rows` find a suite and its data, `suite` and `tokens` make the
requests; `loading`, `arms` and `switching` bring up the base and its candidates; `model` answers,
through `trie`, `packed` and `sweep` (what is shared is computed once), `scoring`, `rolling`,
`generation`, `decoding`, `sampling` and `stopping`, or through `plain` where attention cannot be
packed; `verdicts` judges. `opening` chooses the engine: that of `model`, or `verified`'s two, where
float32 looks again at what bf16 answered if `leads` and a `probe` say that a verdict could flip.
`identity` names what can change an answer, `lm` is lm-eval's door.
"""

from harness.engine.loading import context_of as context_length
from harness.engine.loading import tokenizer_of as load_tokenizer
from harness.engine.model import Engine
from harness.engine.opening import open_engine
from harness.engine.suite import LoadedSuite, check_same_ids, load_suite
from harness.engine.verified import VerifiedEngine

__all__ = [
    "Engine", "LoadedSuite", "VerifiedEngine", "check_same_ids", "context_length", "load_suite",
    "load_tokenizer", "open_engine",
]  # fmt: skip
