"""Answer requests with the arms that are active: of each kind, in whatever memory there is."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from harness.engine import padded
from harness.engine.decoding.kept_turns import KeptTurns
from harness.engine.decoding.sampling import SamplingParams
from harness.engine.prefix import loglikelihood
from harness.engine.prefix.generate import Generator
from harness.engine.prefix.prefill import Runner
from harness.engine.prefix.prefilled import Prompt
from harness.engine.rolling import rolling_windows, sum_windows
from harness.models.hardware import is_out_of_memory, release_memory
from harness.models.protocols import PretrainedTokenizer
from harness.records import Drafts, Request, Response
from harness.suites.tokenize import Encoder, most_new_tokens, tokens_needed

log = logging.getLogger("harness.engine")

NO_MEMORY = "out of memory"
"""Why a request is unscored that finds no memory even alone."""


class Asked(NamedTuple):
    """A request to an arm, and the arm's number among those that share the pass."""

    arm: str
    request: Request
    number: int = 0


AskedBatch = list[tuple[Asked, Response]]
"""Answers of a finished batch."""


def _goes_on(request: Request) -> bool:
    """Say whether another turn of a dialogue follows."""
    return request.turn is not None and request.index + 1 < request.turn.turns


@dataclass(slots=True, kw_only=True)
class Answering:
    """Answers with the model of a runner, in packed rows or, ``in_padding``, in plain batches.

    ``kept`` is what dialogues have read before, ``ties`` counts tokens that were chosen between two
    nearly equal logits.
    """

    runner: Runner
    tokenizer: PretrainedTokenizer
    ends: frozenset[int]
    max_length: int
    pad: int
    drafts: Mapping[str, Drafts]
    in_padding: bool
    kept: KeptTurns
    ties: int = 0

    def answer(self, asked: list[Asked]) -> Iterator[AskedBatch]:
        """Answer requests; where memory runs out, go on with those that are left, half at a time.

        What found no memory among others is asked again alone: only if that fails, too, does it
        come back unscored.
        """
        left, lost = asked, list[Asked]()
        while left:
            answered: set[int] = set()
            try:
                for batch in self._of_each_kind(left):
                    answered.update(id(one) for one, _ in batch)
                    lost += [one for one, found in batch if found.unscored == NO_MEMORY]
                    if found := [pair for pair in batch if pair[1].unscored != NO_MEMORY]:
                        yield found
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            else:
                break
            self.kept.clear()
            release_memory()
            left = [one for one in left if id(one) not in answered]
            if not self.runner.halve(sum(tokens_needed(one.request) for one in left), len(left)):
                lost += left
                break
            log.warning("out of memory: going on with %d rows at a time", self.runner.max_rows)
        if lost:
            release_memory()
        for one in lost:
            yield self._alone(one)

    def _alone(self, asked: Asked) -> AskedBatch:
        try:
            return [pair for batch in self._of_each_kind([asked]) for pair in batch]
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            return [(asked, Response(unscored=NO_MEMORY))]

    def _of_each_kind(self, asked: list[Asked]) -> Iterator[AskedBatch]:
        kinds: dict[str, list[Asked]] = {}
        for one in asked:
            kinds.setdefault(one.request.kind, []).append(one)
        yield from self._loglikelihood(kinds.get("loglikelihood", []))
        yield from self._loglikelihood_rolling(kinds.get("loglikelihood_rolling", []))
        yield from self._generate_until(kinds.get("generate_until", []))

    def _score_pairs(
        self, pairs: Sequence[loglikelihood.TokenPair], arms: Sequence[int]
    ) -> Iterator[list[tuple[int, Response]]]:
        """Yield ``(index of the pair, response)`` batch by batch."""
        if self.in_padding:
            model, budget = self.runner.model, self.runner.batch_tokens
            return padded.score(model, pairs, budget=budget, pad=self.pad)
        return loglikelihood.score(self.runner, pairs, arms)

    def _loglikelihood(self, asked: Sequence[Asked]) -> Iterator[AskedBatch]:
        empty = [one for one in asked if not one.request.continuation_ids]
        if empty:
            yield [(one, Response(logprob=0.0, is_greedy=True)) for one in empty]
        mine = [one for one in asked if one.request.continuation_ids]
        pairs = [(one.request.context_ids, one.request.continuation_ids) for one in mine]
        for batch in self._score_pairs(pairs, [one.number for one in mine]):
            yield [(mine[index], response) for index, response in batch]

    def _loglikelihood_rolling(self, asked: Sequence[Asked]) -> Iterator[AskedBatch]:
        if not asked:
            return
        prefix = Encoder(self.tokenizer).prefix_id
        windows = [
            rolling_windows(one.request.context_ids, prefix, self.max_length) for one in asked
        ]
        pairs = [pair for of_request in windows for pair in of_request]
        counts = [len(of_request) for of_request in windows]
        numbers = [one.number for one, n in zip(asked, counts, strict=True) for _ in range(n)]
        yield from sum_windows(asked, counts, self._score_pairs(pairs, numbers))

    def _generate_until(self, asked: Sequence[Asked]) -> Iterator[AskedBatch]:
        prompts = [
            Prompt(
                context=one.request.context_ids,
                params=SamplingParams.of(one.request.settings, one.request.context),
                drafts=tuple(self._drafts(one)),
                arm=one.number,
                suite=one.request.item.suite,
                dialogue=(one.arm, one.request.item) if one.request.turn else None,
                goes_on=_goes_on(one.request),
            )
            for one in asked
        ]
        if self.in_padding:
            batches = padded.generate(
                self.runner.model, self.tokenizer, prompts,
                ends=self.ends, budget=self.runner.batch_tokens, pad=self.pad,
            )  # fmt: skip
            yield from ([(asked[i], response) for i, response in batch] for batch in batches)
            return
        generator = Generator(self.runner, self.tokenizer, self.ends, self.kept)
        for batch in generator.generate(prompts):
            yield [(asked[index], response) for index, response in batch]
        self.ties += generator.ties

    def _drafts(self, asked: Asked) -> Iterator[tuple[int, ...]]:
        """Tokenize guessed answers as they would be generated after their context."""
        request = asked.request
        if request.settings.get("do_sample"):
            return
        for text in self.drafts.get(asked.arm, {}).get(request.key, ()):
            if not text:
                yield ()
                continue
            whole = tuple(Encoder(self.tokenizer).encode(request.context + text))
            known = len(request.context_ids)
            if whole[:known] == request.context_ids:
                ids = whole[known:]
            else:
                ids = tuple(self.tokenizer.encode(text, add_special_tokens=False))
            longest = min(most_new_tokens(request.settings), self.max_length - known)
            yield ids[:longest]
