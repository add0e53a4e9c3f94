"""Several processes answer one study: each a part into a file of its own, merged by `run`.

Engines answer faster in one process than in many where prompts share prefixes, so the work is cut
where little is shared (`cut`). Every process plans the study by itself and comes to the same cut;
none waits for another, and none writes anything but its own file, so they may run anywhere that
sees the run folder, die, and be started again. Only the process that merges writes the lock, the
samples and ``answers.db``.
"""

import logging
import re
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import ComparisonError, InfrastructureError, StudyError
from harness.files import sha256_of
from harness.pipeline.answers.ask import AnswerSession, part
from harness.pipeline.answers.join_endpoints import machines_of, open_arms, read_by_own
from harness.pipeline.answers.next_blocks import next_blocks
from harness.pipeline.checks.own_bases import fingerprints_of
from harness.pipeline.plan import PlannedRun
from harness.records import Answers, Arm, ItemKey, Request, Response
from harness.store import AnswerStore
from harness.store.answer_times import AnswerClock, added_since
from harness.store.answers import answer_key
from harness.store.shard_file import ENDING, ShardFile, ShardOrigin, foreign, times_of
from harness.suites.dialogue_turns import followed
from harness.suites.tokenize import most_new_tokens

if TYPE_CHECKING:
    from harness.engine import LoadedSuite

log = logging.getLogger("harness.pipeline")

_ROUNDING = 1e-3
"""By how much float32 sums of one model may differ, in nats, or in parts of a large one: ten times
what other batches make of them."""
_HALF_ROUNDING = 0.05
"""The same where anything else than float32 answers, or a server."""
_STEP = "SLURM_ARRAY_TASK_STEP"
_PLAY = 0.2
"""How far a cut may move to where less is shared, in parts of one shard's work."""


@dataclass(frozen=True, slots=True)
class Shard:
    """Part ``index`` of ``count``, counted from 1.

    Raises:
        StudyError: If there is no such part.
    """

    index: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count:
            raise StudyError(
                f"a shard is K/N with K from 1 to N, such as 3/16: found {self.index}/{self.count}"
            )

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Return the shard that ``K/N`` names.

        >>> Shard.parse("3/16")
        Shard(index=3, count=16)

        Raises:
            StudyError: If the text is no shard.
        """
        if not re.fullmatch(r"[0-9]{1,6}/[0-9]{1,6}", text):
            raise StudyError(f"a shard is K/N with K from 1 to N, such as 3/16: found {text!r}")
        index, count = map(int, text.split("/"))
        return cls(index, count)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Shard | None":
        """Return the shard that a launcher gave this process, None where there is none.

        ``torchrun`` and ``accelerate launch`` set RANK and WORLD_SIZE, a Slurm array
        SLURM_ARRAY_TASK_ID with its first number, step and count.

        >>> Shard.from_environment({"RANK": "2", "WORLD_SIZE": "16"})
        Shard(index=3, count=16)

        Raises:
            StudyError: If only a part of it is set, or it is no shard.
        """
        if "RANK" in environment or "WORLD_SIZE" in environment:
            rank, count = _numbers(environment, "RANK", "WORLD_SIZE")
            if count > 1 or "SLURM_ARRAY_TASK_ID" not in environment:
                return cls(rank + 1, count) if count != 1 else None
        if "SLURM_ARRAY_TASK_ID" in environment:
            names = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_COUNT")
            number, first, count = _numbers(environment, *names)
            [step] = _numbers(
                {"SLURM_ARRAY_TASK_STEP": "1", **environment}, "SLURM_ARRAY_TASK_STEP"
            )
            steps, rest = divmod(number - first, max(1, step))
            if rest or not 0 <= steps < count:
                raise StudyError(
                    "a Slurm array that answers shards has evenly spaced numbers, such as 1-16: "
                    f"found {number} among {count} from {first}; give --shard K/N"
                )
            return cls(steps + 1, count)
        return None


def leave_launcher(environment: MutableMapping[str, str]) -> None:
    """Forget that a launcher started other processes: libraries would wait for them.

    Which card is this one's (``LOCAL_RANK``) stays.
    """
    for name in ("RANK", "WORLD_SIZE"):
        environment.pop(name, None)


def _numbers(environment: Mapping[str, str], *names: str) -> list[int]:
    """Return the whole numbers that some variables hold."""
    for name in names:
        if not environment.get(name, "").isdecimal():
            raise StudyError(
                f"a shard of a launcher needs {' and '.join(names)} as whole numbers: {name} is "
                f"{environment.get(name)!r}; set it, or give --shard K/N"
            )
    return [int(environment[name]) for name in names]


@dataclass(frozen=True, slots=True)
class _Group:
    """The requests of an item in the order of their tokens.

    ``work`` counts the tokens to be read after what is shared with the item before, and to be
    generated; ``shared`` those that are.
    """

    requests: tuple[Request, ...]
    work: int
    shared: int


def cut(requests: Sequence[Request], count: int) -> list[list[Request]]:
    """Cut requests into so many runs that are about as much work each and share few prefixes.

    Requests of each kind are sorted by their token ids, so that those with a common prefix are
    neighbours, and cut into runs that follow each other; near the even cuts those are taken where
    neighbours have least in common. The requests of an item stay together, so that one process
    decides between its choices. The cut depends on nothing else.

    Returns:
        ``count`` lists; some are empty where there are fewer items.
    """
    kinds: dict[str, dict[ItemKey, list[Request]]] = {}
    for request in requests:
        kinds.setdefault(request.kind, {}).setdefault(request.item, []).append(request)
    runs: list[list[Request]] = [[] for _ in range(count)]
    for kind in sorted(kinds):
        groups = _sorted_groups(list(kinds[kind].values()))
        ends = [0, *_cuts(groups, count), len(groups)]
        for run, (start, end) in zip(runs, pairwise(ends), strict=True):
            run += [request for group in groups[start:end] for request in group.requests]
    return runs


def _sorted_groups(items: Sequence[Sequence[Request]]) -> list[_Group]:
    from harness.engine.prefix.trie import common_prefix_length

    groups: list[_Group] = []
    before: tuple[int, ...] = ()
    for requests in sorted((sorted(item, key=_ids) for item in items), key=lambda g: _ids(g[0])):
        shared, work = common_prefix_length(before, _ids(requests[0])), 0
        for request in requests:
            ids = _ids(request)
            work += len(ids) - common_prefix_length(before, ids)
            work += most_new_tokens(request.settings)
            before = ids
        groups.append(_Group(tuple(requests), work, shared))
    return groups


def _ids(request: Request) -> tuple[int, ...]:
    return request.context_ids + request.continuation_ids


def _cuts(groups: Sequence[_Group], count: int) -> list[int]:
    """Return before which group each run but the first begins."""
    done = [0, *accumulate(group.work for group in groups)]
    share = done[-1] / count
    shared = [*(group.shared for group in groups), 0]
    cuts = [0]
    for number in range(1, count):
        even = number * share

        def costs(place: int, even: float = even) -> float:
            """Tokens that are read twice, and half of what one run has more than another."""
            return shared[place] + abs(done[place] - even) / 2

        first = bisect_left(done, even - _PLAY * share)
        last = bisect_right(done, even + _PLAY * share)
        if first == last:  # one item is more work than that
            first, last = first - 1, last + 1
        near = range(max(first, cuts[-1]), min(last, len(done)))
        cuts.append(min(near, key=costs, default=cuts[-1]))
    return cuts[1:]


def answer_shard(planned: PlannedRun, arms: Sequence[Arm], shard: Shard) -> Path:
    """Answer one part of a study into a file of its own, which `merge_shards` takes in.

    What the run folder or other shards' files have is not asked again; what an earlier process of
    this shard has answered is kept. All arms answer together. Nothing is loaded where nothing is
    missing. With ``planned.until_decided`` its part is a block of the declared order; see
    `next_blocks`.

    Args:
        planned: The study.
        arms: Everything that answers; candidates are trained.
        shard: Which part.

    Returns:
        The file below ``answers/`` in the run folder.

    Raises:
        HarnessError: For everything a user can mend; what is answered is kept.
    """
    fingerprints = fingerprints_of(planned.study, arms, planned.own, planned.loaded)
    folder = planned.folder
    path = folder.shards / f"shard-{shard.index}-of-{shard.count}{ENDING}"
    table = ShardFile.opened(path, shard_origin(planned, fingerprints), folder.answers)
    everyone = tuple(arm.name for arm in arms)
    if planned.until_decided:
        work = [(everyone, _part_of(planned, shard, planned.must_pass))]
        blocks = next_blocks(planned, arms, fingerprints, number=shard.index)
        work += [(block.arms, [part(block.loaded, block.places)]) for block in blocks]
    else:
        work = [(everyone, _part_of(planned, shard))]
    mine = [suite for _, suites in work for suite in suites]
    total = sum(len(names) * len(suite.requests) for names, suites in work for suite in suites)
    try:
        with planned.progress.task(f"answer shard {shard}", total) as advance:
            answerer = open_arms(planned, arms, table, fingerprints, mine)
            clock = AnswerClock(machines_of(planned, arms))
            session = AnswerSession(
                answerer, table, advance, clock, own=read_by_own(planned), unscored=planned.unscored
            )
            for names, suites in work:
                session.ask(names, suites)
        if clock.times:
            table.add_times(clock.times)
    finally:
        table.write()
    return path


def shard_origin(planned: PlannedRun, fingerprints: Mapping[str, str]) -> ShardOrigin:
    """Return what the answers of a study's shards belong to."""
    return ShardOrigin(
        study=planned.study.name,
        base=planned.study.base.title,
        day=str(planned.study.base.date or ""),
        items=planned.items,
        fingerprints=fingerprints,
    )


def _part_of(
    planned: PlannedRun, shard: Shard, only: Mapping[str, Collection[ItemKey]] | None = None
) -> list["LoadedSuite"]:
    """Return the suites with the items that are a shard's, of all or of some by suite."""
    suites = []
    for loaded in planned.loaded:
        wanted = None if only is None else only[loaded.suite.name]
        places = [n for n, item in enumerate(loaded.items) if wanted is None or item.key in wanted]
        suites.append(part(loaded, places))
    requests = [request for suite in suites for request in suite.requests]
    mine = {request.item for request in cut(requests, shard.count)[shard.index - 1]}
    found = []
    for suite in suites:
        places = [place for place, item in enumerate(suite.items) if item.key in mine]
        if places:
            found.append(part(suite, places))
    return found


def merge_shards(planned: PlannedRun, store: AnswerStore, scored: ShardOrigin) -> list[str]:
    """Take the answers of all shards into a run's own, once each, and their times into its lock.

    What is stored already stays. A file whose answers are taken in is not read again until it
    changes; it may then belong to what was scored before.

    Args:
        planned: The study.
        store: The run's answers.
        scored: What the answers have to belong to.

    Returns:
        Notes on the files that cannot be read; their requests are asked again.

    Raises:
        ComparisonError: If a file belongs to another study, other items or another model, or two
            answers of one arm to one request differ by more than rounding.
    """
    agreement = _Agreement(planned, scored, store)
    notes, merged = list[str](), store.merged()
    known = {file.sha256 for file in merged.values()}
    for path in sorted(planned.folder.shards.glob(f"*{ENDING}")):
        try:
            if sha256_of(path) in known:
                continue
            file = ShardFile.read(path)
        except InfrastructureError as error:
            log.warning("%s", error)
            notes.append(f"not merged, its requests were asked again: {path.name}")
            continue
        if problem := file.origin.differs(scored):
            raise foreign(path, problem)
        key = store.take_in(file, name=file.name, file=file.merged_as, agree=agreement.holds)
        if key is not None:
            raise ComparisonError(
                "one model has one answer to a request: that "
                f"of {agreement.asked[key]} is another in {path} than in what was merged "
                "before; find out which process ran something else, delete its file, and run again"
            )
        earlier = merged.get(file.name)
        planned.folder.claim(planned.study)
        planned.folder.clock(added_since(file.times, times_of(earlier) if earlier else ()))
    return notes


@dataclass(slots=True)
class _Agreement:
    """Whether two answers to one request may be of one model, and who was asked what."""

    planned: PlannedRun
    scored: ShardOrigin
    store: AnswerStore
    _noise: float = field(init=False)
    _asked: dict[bytes, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from harness.models.scoring_dtype import scoring_dtype

        study = self.planned.study
        served = study.base.backend or any(one.backend for one in study.candidates)
        forms = {form for one in study.candidates for form in one.forms}
        rounds = study.base.quantization == "8bit" or "8bit" in forms  # what is read, too
        exact = not served and not rounds and scoring_dtype(study.base).dtype == "float32"
        self._noise = _ROUNDING if exact else _HALF_ROUNDING

    def holds(self, key: bytes, one: Response, other: Response) -> bool:
        """Whether both are the same text, or equal but for rounding; what is not scored may vary.

        An endpoint's probes are not scored: it is told by its own rules how it varies.
        """
        if one.logprob is None or other.logprob is None:
            same = one.text == other.text
        else:
            same = abs(one.logprob - other.logprob) <= self._noise * max(1.0, abs(one.logprob))
        return same or key not in self.asked

    @property
    def asked(self) -> dict[bytes, str]:
        """The arm and the item of every key; looked up only where two answers differ."""
        if not self._asked:
            for arm, fingerprint in self.scored.fingerprints.items():
                for loaded in self.planned.read_by(arm):
                    self._follow(f"{arm!r} to {loaded.suite.name}", fingerprint, loaded.requests)
        return self._asked

    def _follow(self, who: str, fingerprint: str, requests: Sequence[Request]) -> None:
        """Note the keys of requests, of dialogues as far as the run has their answers."""

        def look_up(asked: Sequence[Request]) -> Answers:
            for request in asked:
                name = f"{who} item {request.item.doc_hash[:12]}"
                self._asked[answer_key(fingerprint, request)] = name
            return self.store.get(fingerprint, asked)

        followed(requests, {}, look_up)
