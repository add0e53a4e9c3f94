"""Whether an exported folder, loaded again, answers as what was scored."""

from collections.abc import Iterator, Sequence
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from harness.errors import ComparisonError, StudyError
from harness.models.hardware import release_memory
from harness.records import BASE, Answers, ItemKey, Request, Response, Sample
from harness.store.run_folder import RunFolder
from harness.store.samples import read_samples

if TYPE_CHECKING:
    from harness.engine import Engine
    from harness.study import Study

ITEMS = 50
"""How many of a run's items an export answers again."""
_ROUNDING = 1e-3
"""By how much log-likelihoods of one model may differ, in nats, or in parts of a large one: other
batches round otherwise."""
_COARSE = 0.05
"""The same where what is read is rounded to 8 bits, too."""
_CUT = 60


class AskedAgain(NamedTuple):
    """Items of a run that can be asked again, their requests, and what was answered."""

    samples: Sequence[Sample]
    requests: Sequence[Request]
    answers: Answers


def choose_items(
    folder: RunFolder, study: "Study", arm: str, *, tokenizer_of: Path | str, most: int = ITEMS
) -> AskedAgain:
    """Choose items of every suite of a run, by their hashes, and what an arm answered to them.

    Args:
        folder: The run.
        study: Its study.
        arm: Whose samples are read.
        tokenizer_of: The model whose tokenizer made the prompts.
        most: How many items.

    Raises:
        StudyError: If the prompts of no item can be made again from the samples.
    """
    from harness.engine import load_tokenizer
    from harness.suites.asked_again import asked_again
    from harness.suites.tokenize import Encoder

    encoder = Encoder(load_tokenizer(str(tokenizer_of), study.base))
    by_suite = [
        sorted(read_samples(folder.samples(arm, suite.name)), key=lambda s: s.item.key.doc_hash)
        for suite in study.suites
    ]

    def found() -> Iterator[tuple[Sample, tuple[Request, ...]]]:
        for sample in filter(None, chain.from_iterable(zip_longest(*by_suite))):
            scored = all(response.unscored is None for response in sample.responses)
            if scored and (requests := asked_again(sample.item, encoder)):
                yield sample, requests

    chosen = list(islice(found(), most))
    if not chosen:
        raise StudyError(
            f"an export is checked on items of its run: none of {folder.path} can be asked again "
            "from its samples (prompts that were cut, or answers drawn at random)"
        )
    return AskedAgain(
        samples=[sample for sample, _ in chosen],
        requests=[request for _, requests in chosen for request in requests],
        answers={
            (sample.item.key, index): response
            for sample, _ in chosen
            for index, response in enumerate(sample.responses)
        },
    )


def answers_of(engine: "Engine", requests: Sequence[Request]) -> Answers:
    """Return what a loaded model answers, and give its memory back."""
    found = {
        request.key: response
        for batch in engine.answer(BASE, requests)
        for request, response in batch
    }
    release_memory()
    return found


def check_written(written: Path, study: "Study", asked: AskedAgain, expected: Answers) -> Answers:
    """Load an exported folder, and let it answer the chosen items; return its answers.

    Args:
        written: The folder.
        study: On the base that it was made of: precision and device are that base's.
        asked: The items.
        expected: What was answered when it was scored, or made.

    Raises:
        ComparisonError: If its tokenizer makes other prompts, or an answer is another one; it
            names the items.
    """
    from harness.engine import Engine
    from harness.suites.asked_again import asked_again
    from harness.suites.tokenize import Encoder

    base = study.base.model_copy(
        update={"revision": None, "quantization": "none", "dtype": study.base.weights_dtype}
    )
    engine = Engine.from_base(base, str(written))
    encoder = Encoder(engine.tokenizer)
    others = [s.item.key for s in asked.samples if not asked_again(s.item, encoder)]
    if others:
        raise ComparisonError(
            f"an export must read prompts as what was scored: its tokenizer makes other token ids "
            f"of {_named(others)}; give the candidate's folder the tokenizer of its base"
        )
    now = answers_of(engine, asked.requests)
    moved = [request for request in asked.requests if not _same(request, expected, now)]
    if moved:
        first = moved[0].key
        raise ComparisonError(
            f"an export must answer as what was scored: {_named([r.item for r in moved])} of "
            f"{len(asked.samples)} items are answered otherwise ({_told(expected[first])} before, "
            f"{_told(now[first])} from the written folder), so nothing was written; export on the "
            "machine and with the libraries that scored it, or run the study again"
        )
    return now


def count_same(asked: AskedAgain, now: Answers) -> int:
    """Return how many of the chosen items have the answers that the run stored, in any batches."""
    moved = {r.item for r in asked.requests if not _same(r, asked.answers, now, _COARSE)}
    return len(asked.samples) - len(moved)


def _same(request: Request, expected: Answers, now: Answers, rounding: float = _ROUNDING) -> bool:
    was, found = expected[request.key], now[request.key]
    if was.logprob is None or found.logprob is None:
        return was.text == found.text
    return abs(was.logprob - found.logprob) <= rounding * max(1.0, abs(was.logprob))


def _named(keys: Sequence[ItemKey]) -> str:
    """Name the first few items by suite and hash."""
    different = list(dict.fromkeys(keys))
    shown = ", ".join(f"{key.suite} {key.doc_hash[:12]}" for key in different[:5])
    more = len(different) - 5
    return shown + (f" and {more} more" if more > 0 else "")


def _told(response: Response) -> str:
    if response.text is not None:
        return repr(response.text[:_CUT])
    return f"a log-likelihood of {response.logprob:.4f}"
