"""Whether a candidate's own tokenizer would show a model the prompts that every arm gets."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from harness.errors import ComparisonError
from harness.models.candidate import load_candidate_tokenizer
from harness.models.fingerprint import tokenizer_hash
from harness.models.load_model import fix_date
from harness.models.protocols import Tokenizer
from harness.suites.load_suite import LoadedSuite, instances_of, requests_of


def check_same_ids(
    loaded: Sequence[LoadedSuite], adapter: Path, *, day: date | None = None
) -> None:
    """Refuse an adapter whose own tokenizer gives other ids for any prompt.

    Extra tokens that no prompt uses are allowed; so is a folder without a tokenizer, or without a
    chat template of its own.

    Args:
        loaded: The suites with the base's ids.
        adapter: Its folder.
        day: The date that chat templates are given.

    Raises:
        ComparisonError: If ids differ, naming the first such item.
        ModelError: If the folder's tokenizer cannot be read.
    """
    if not loaded or not any((adapter / name).is_file() for name in _TOKENIZER_FILES):
        return
    theirs = load_candidate_tokenizer(adapter, loaded[0].tokenizer)
    fix_date(theirs, day)
    theirs.chat_template = theirs.chat_template or loaded[0].tokenizer.chat_template
    for suite in loaded:
        if tokenizer_hash(theirs) != tokenizer_hash(suite.tokenizer):
            _compare_ids(suite, theirs, adapter)


_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer_config.json")


def _compare_ids(suite: LoadedSuite, theirs: Tokenizer, adapter: Path) -> None:
    instances = instances_of(suite.recipe, theirs)
    keys = [item.key for item in suite.items]
    made = requests_of(suite.recipe, instances, keys, theirs)
    for request in suite.requests:
        other = made[request.item][0][request.index]
        ours = (request.context_ids, request.continuation_ids)
        if (other.context_ids, other.continuation_ids) != ours:
            raise ComparisonError(
                f"every arm must see the same token ids: the tokenizer or chat template in "
                f"{adapter} gives others for item {request.item.doc_hash[:12]} of "
                f"{suite.suite.name!r}; remove it from the folder, or score with the base's"
            )
