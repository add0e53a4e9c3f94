"""The engine: load the base once, score shared prefixes once, switch adapters, lose nothing."""

from harness.engine.loading import tokenizer_of as load_tokenizer
from harness.engine.model import Engine
from harness.engine.suite import LoadedSuite, check_same_ids, load_suite

__all__ = ["Engine", "LoadedSuite", "check_same_ids", "load_suite", "load_tokenizer"]
