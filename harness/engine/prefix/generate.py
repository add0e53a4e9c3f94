"""Generation: prefill contexts and drafts as one trie, verify the drafts, then decode row by row.

Speculative decoding (Leviathan et al. 2023) with given drafts instead of a draft model: a draft is
a guess of the whole answer, such as another arm's. It is read together with its context in one
prefill; as much of it as greedy decoding would have produced is accepted, the rest is decoded. So
the output is that of step-by-step decoding, up to ties within numerical noise, which are counted.

Decoding is continuous batching: finished rows leave at once, and rows whose contexts were prefilled
in the meantime take their slots.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from harness.engine.decoding.kept_turns import Continued, KeptTurn, KeptTurns, read_on
from harness.engine.decoding.sampling import (
    NextToken,
    greedy_tokens,
    sample_token,
)
from harness.engine.decoding.stopping import GeneratedText
from harness.engine.prefix.attention import CachedPrefix
from harness.engine.prefix.decode import DecodeBatch, DecodeRow
from harness.engine.prefix.drafts import DraftRecord
from harness.engine.prefix.prefill import (
    Runner,
)
from harness.engine.prefix.prefilled import PrefilledTrie, Prompt
from harness.engine.prefix.trie import (
    TrieToken,
    token_chunks,
)
from harness.models.hardware import is_out_of_memory
from harness.records import Response

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TIE = 1e-4
"""Two best logits that are closer than this may come out in either order."""

READ_AHEAD_TOKENS = 4096
"""Distinct tokens that are prefilled at a time, whose keys wait until their rows join the batch."""

_MIN_ROWS = 8
"""Rows that are decoded together however long they may become."""

_GUESSED, _GUESSED_BY_FEW = 3, 15
"""Guessed tokens of a row that a step reads at most, and where it has few rows.

A step of few rows costs little more when it reads several tokens of each.
"""


@dataclass(slots=True)
class Generator:
    """Generates with a runner.

    ``ties`` counts tokens chosen between two nearly equal logits, ``drafted_tokens`` those accepted
    from drafts, ``decoded_tokens`` those decoded; ``record`` says which drafts are worth reading,
    ``kept`` has what earlier turns of dialogues have read.
    """

    runner: Runner
    tokenizer: "PreTrainedTokenizerBase"
    eos_token_ids: frozenset[int]
    kept: KeptTurns = field(default_factory=KeptTurns)
    ties: int = 0
    drafted_tokens: int = 0
    decoded_tokens: int = 0
    record: DraftRecord = field(default_factory=DraftRecord)
    _finished: list[tuple[int, Response]] = field(default_factory=list)
    _continued: set[int] = field(default_factory=set)

    def generate(self, prompts: Sequence[Prompt]) -> Iterator[list[tuple[int, Response]]]:
        """Yield ``(index, response)`` in batches, as rows finish."""
        self._continued = set()
        prefilled = chain(self._read_on(prompts), self._prefill_chunks(prompts))
        batch = DecodeBatch()
        waiting: list[DecodeRow] = []
        more = True
        while more or waiting or batch.rows:
            # 1. Prefill chunks as long as more rows fit.
            while more and self._fits([*batch.rows, *waiting], extra_rows=1):
                rows = next(prefilled, None)
                more = rows is not None
                waiting.extend(rows or ())
            # 2. Refill the batch from the rows that wait.
            joining = 0
            while joining < len(waiting) and self._fits([*batch.rows, *waiting[: joining + 1]]):
                joining += 1
            if joining:
                batch.add(waiting[:joining])
                del waiting[:joining]
            # 3. Decode one token of every row; preempted rows wait again.
            if batch.rows:
                waiting = self._decode_step(batch) + waiting
            # 4. Hand out what is finished.
            if self._finished:
                yield self._finished
                self._finished = []

    def _fits(self, rows: Sequence[DecodeRow], *, extra_rows: int = 0) -> bool:
        """Tell whether rows, and some more like them, can be decoded together."""
        count = len(rows) + extra_rows
        tokens = count * max((row.reserved_tokens for row in rows), default=0)
        return count <= self.runner.max_rows and (
            count <= _MIN_ROWS or tokens <= self.runner.kv_cache_tokens
        )

    def _decode_step(self, batch: DecodeBatch) -> list[DecodeRow]:
        """Decode one token of every row; return rows that were preempted for lack of memory."""
        # 1. One forward pass over the last token of every row, and what it may repeat.
        most = _GUESSED_BY_FEW if len(batch.rows) <= _MIN_ROWS else _GUESSED
        most = min(most, self.runner.max_logits // len(batch.rows) - 1)
        guesses = [row.look_ahead(most) for row in batch.rows]
        try:
            tokens, positions = batch.begin_step(guesses)  # (1, N), (1, N)
            every = torch.arange(tokens.shape[1], device=tokens.device)
            logits = self.runner.forward(tokens, positions, batch, every)  # (N, V)
        except Exception as error:
            if is_out_of_memory(error) and batch.width > 1:  # without guesses the next time
                for row in batch.rows:
                    row.trusted = 0
                return []
            if not is_out_of_memory(error) or len(batch.rows) == 1:
                raise
            self.runner.max_rows = len(batch.rows) // 2
            return batch.preempt(self.runner.max_rows)
        # 2. Choose and append the next tokens.
        self._append(logits, batch, guesses)
        # 3. Rows that ended leave.
        ended = {slot for slot, row in enumerate(batch.rows) if row.text.finish}
        for slot in sorted(ended):
            if batch.rows[slot].dialogue is not None:
                self._keep(batch.rows[slot], *batch.own_kv(slot))
            self._finish(batch.rows[slot].index, batch.rows[slot].text)
        batch.remove(ended)
        return []

    def _append(self, logits: Tensor, batch: DecodeBatch, guesses: Sequence[Sequence[int]]) -> None:
        """Append to each row the token that follows its last one, and one per right guess.

        Args:
            logits: Of every row's tokens in turn, ``(N, V)``.
            batch: The rows.
            guesses: What was read of each row after its last token.
        """
        best, first = greedy_tokens(logits), 0
        for slot, (row, guess) in enumerate(zip(batch.rows, guesses, strict=True)):
            known = len(row.text.ids)
            for place, guessed in enumerate([*guess, None], start=first):
                chosen = best[place]
                if row.params.do_sample:
                    step = len(row.text.ids)
                    token = sample_token(logits[place], row.params, row.context, step)
                    chosen = NextToken(token, math.inf)
                self.ties += chosen.gap < TIE
                self.decoded_tokens += 1
                batch.append(slot, chosen)
                if row.text.finish or chosen.token != guessed:
                    break
            first += 1 + len(guess)
            row.judge_guess(row.text.ids[known:])

    def _finish(self, index: int, text: GeneratedText) -> None:
        gap = None if math.isinf(text.gap) else text.gap
        response = Response(text=text.text, finish=text.finish, tokens=len(text.ids), gap=gap)
        self._finished.append((index, response))

    def _keep(self, row: DecodeRow, keys: Sequence[Tensor], values: Sequence[Tensor]) -> None:
        """Keep what a row has read for the next turn of its dialogue."""
        read = (row.prefix.length if row.prefix else 0) + keys[0].shape[1]
        ids = (*row.context, *row.text.ids)[: read - self.runner.position_offset]
        turn = KeptTurn(ids, row.prefix, tuple(keys), tuple(values))
        self.kept.put(row.dialogue, turn, most_tokens=self.runner.kv_cache_tokens // 2)

    def _read_on(self, prompts: Sequence[Prompt]) -> Iterator[list[DecodeRow]]:
        """Yield the rows of prompts whose beginnings are kept, a batch at a time."""
        runner = self.runner
        part: dict[int, KeptTurn] = {}
        tokens = 0
        for index, prompt in enumerate(prompts):
            begun = self.kept.begun(prompt, runner.position_offset)
            if begun is None:
                continue
            self._continued.add(index)
            part[index] = begun
            tokens += len(prompt.context) - begun.shared - begun.own_tokens
            if tokens >= runner.batch_tokens:
                yield self._rows_after(prompts, read_on(runner, prompts, part))
                part, tokens = {}, 0
        if part:
            yield self._rows_after(prompts, read_on(runner, prompts, part))

    def _rows_after(self, prompts: Sequence[Prompt], read: Sequence[Continued]) -> list[DecodeRow]:
        """Choose the token after each prompt that was read on; return the rows left to decode."""
        best = greedy_tokens(torch.stack([one.logits for one in read]))
        rows = []
        for one, chosen in zip(read, best, strict=True):
            prompt = prompts[one.index]
            if prompt.params.do_sample:
                token = sample_token(one.logits, prompt.params, prompt.context, 0)
                chosen = NextToken(token, math.inf)  # noqa: PLW2901
            text = GeneratedText(self.tokenizer, self.eos_token_ids, prompt.params)
            self.ties += chosen.gap < TIE
            text.push(chosen.token, chosen.gap)
            row = self._row(one.index, prompt, text, one.kept.prefix, one.keys, one.values)
            if text.finish is None:
                rows.append(row)
                continue
            if row.dialogue is not None:
                self._keep(row, *row.own_pieces())
            self._finish(one.index, text)
        return rows

    def _row(
        self,
        index: int,
        prompt: Prompt,
        text: GeneratedText,
        prefix: CachedPrefix | None,
        keys: list[list[Tensor]],
        values: list[list[Tensor]],
    ) -> DecodeRow:
        """Return a row that goes on after the last token that was read for it."""
        read = (prefix.length if prefix else 0) + sum(piece.shape[1] for piece in keys[0])
        return DecodeRow(
            index=index,
            text=text,
            params=prompt.params,
            last_token=text.ids[-1] if text.ids else prompt.context[-1],
            position=read,
            prefix=prefix,
            keys=keys,
            values=values,
            context=prompt.context,
            arm=prompt.arm,
            dialogue=prompt.dialogue if prompt.goes_on else None,
        )

    def _prefill_chunks(self, prompts: Sequence[Prompt]) -> Iterator[list[DecodeRow]]:
        """Yield, chunk by chunk, the rows that are left to decode after their prefill.

        A few that have drafts come first, to learn whose drafts are right.
        """
        new = [index for index in range(len(prompts)) if index not in self._continued]
        tried = self.record.trial([(prompts[i].reader, prompts[i].drafts) for i in new])
        first = [new[place] for place in tried]
        others = sorted({*new} - {*first})
        runner = self.runner
        ahead = max(runner.batch_tokens, min(READ_AHEAD_TOKENS, runner.kv_cache_tokens // 2))
        max_tokens = min(runner.prefill_chunk_tokens, ahead)
        for part in (first, others):
            contexts, arms = [prompts[i].context for i in part], [prompts[i].arm for i in part]
            for chunk in token_chunks(contexts, arms, max_tokens=max_tokens):
                yield self._prefill({part[place]: prompts[part[place]] for place in chunk})

    def _prefill(self, prompts: Mapping[int, Prompt]) -> list[DecodeRow]:
        """Prefill contexts and drafts, verify the drafts, return the rows left to decode."""
        # 1. Prefill.
        prompts = {
            index: replace(p, drafts=self.record.worth_reading(p.reader, p.drafts))
            for index, p in prompts.items()
        }
        read = PrefilledTrie.of(list(prompts.values()))
        lost = read.prefill(self.runner, list(prompts.values()))
        rows = []
        for index, prompt in prompts.items():
            if read.leaf((prompt.arm, prompt.context)) in lost:
                self._finished.append((index, Response(unscored="out of memory")))
                continue
            # 2. Verify the drafts, which may finish the answer.
            text, last = self._verify_drafts(read, prompt)
            if text.finish and not prompt.goes_on:
                self._finish(index, text)
                continue
            # 3. A row continues after the last token that was read.
            position = read.trie.nodes[last.node].start + last.offset + 1
            row = self._row(index, prompt, text, *read.split_kv(last.node, position))
            if text.finish is None:
                rows.append(row)
                continue
            self._keep(row, *row.own_pieces())
            self._finish(index, text)
        return rows

    def _verify_drafts(
        self, read: PrefilledTrie, prompt: Prompt
    ) -> tuple[GeneratedText, TrieToken]:
        """Accept what the drafts got right, and one token more.

        Returns:
            The text so far, and the last token that was read for it.
        """
        text = GeneratedText(self.tokenizer, self.eos_token_ids, prompt.params)
        last = read.last_token((prompt.arm, prompt.context))
        following: TrieToken | None = last
        while following is not None:
            # 1. The token that the model chooses here.
            last = following
            token, gap = read.greedy[last]
            if prompt.params.do_sample:
                logits = read.logits[last]  # (V,)
                token = sample_token(logits, prompt.params, prompt.context, len(text.ids))
                gap = math.inf
            self.ties += gap < TIE
            text.push(token, gap)
            # 2. Continue as long as a draft has that very token.
            following = None if text.finish else read.child(last, token)
        self.drafted_tokens += len(text.ids) - (text.finish is None)
        self.record.note(prompt.reader, prompt.drafts, text.ids)
        return text, last
