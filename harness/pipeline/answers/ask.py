"""Generate only the responses that an arm has not given yet, and store each finished batch."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from harness.pipeline.progress import Advance
from harness.records import Answerer, Answers, Drafts, ItemKey, Request, Response, Sample
from harness.store.answer_times import AnswerClock
from harness.store.answers import AnswerTable
from harness.suites.dialogue_turns import followed

if TYPE_CHECKING:
    from harness.engine import LoadedSuite


@dataclass(slots=True)
class AnswerSession:
    """What answers, and where its answers are stored; it remembers those of this session.

    ``own`` has the suites of arms that read them by a base of their own, by arm and suite;
    ``unscored`` the items that are put to nobody, with the reason.
    """

    answerer: Answerer
    store: AnswerTable
    advance: Advance
    clock: AnswerClock = field(default_factory=AnswerClock)
    own: Mapping[str, Mapping[str, "LoadedSuite"]] = field(default_factory=dict)
    unscored: Mapping[ItemKey, str] = field(default_factory=dict)
    done: int = 0
    _known: dict[tuple[str, str], Answers] = field(default_factory=dict)

    def answers(self, arm: str, suite: "LoadedSuite") -> Answers:
        """Return an arm's answers to all requests of a suite; generate those that are missing."""
        self.ask([arm], [suite])
        return self._known[arm, suite.suite.name]

    def ask(self, arms: Iterable[str], suites: Sequence["LoadedSuite"]) -> None:
        """Let arms answer suites, in passes that they share where they can.

        What is stored is not asked again; every finished batch is stored. The texts of arms that
        have answered before are drafts of those that are asked now. Dialogues are asked turn by
        turn, each after the answers to the turn before it.
        """
        names = list(arms)
        while self._ask_next(names, suites):
            pass

    def _ask_next(self, arms: Sequence[str], suites: Sequence["LoadedSuite"]) -> bool:
        """Ask what can be asked now; return whether something is left that waited for it."""
        asked: dict[str, list[Request]] = {}
        drafts: dict[str, Drafts] = {}
        fingerprints: dict[str, str] = {}
        same: list[str] = []  # arms of equal weights, whose answers will be in the store
        for arm in arms:
            missing = self._missing(arm, suites)
            fingerprint = self.answerer.fingerprint(arm)
            if missing and fingerprint in fingerprints.values():
                same.append(arm)
            elif missing:
                asked[arm], fingerprints[arm] = missing, fingerprint
                drafts[arm] = self._drafts(suites, missing)
        batches = self.answerer.answer_arms(asked, drafts=drafts) if asked else ()
        for batch in self.clock.over(batches):
            for arm in dict.fromkeys(arm for arm, _, _ in batch):
                mine = [(request, response) for one, request, response in batch if one == arm]
                for request, response in self.store.put(fingerprints[arm], mine):
                    self._known[arm, request.item.suite][request.key] = response
                self._advance(len(mine), f"{arm} on {mine[-1][0].item.suite}")
        turns = (request.turn for requests in asked.values() for request in requests)
        return bool(same) or any(turn is not None for turn in turns)

    def _missing(self, arm: str, suites: Sequence["LoadedSuite"]) -> list[Request]:
        """Return what an arm has not answered yet, after a look into the store."""
        missing: list[Request] = []
        for suite in suites:
            name = suite.suite.name
            known = self._known.setdefault((arm, name), {})
            requests = self._read_by(arm, suite).requests
            new = [r for r in requests if r.key not in known and r.item not in self.unscored]
            if new:
                fingerprint, before = self.answerer.fingerprint(arm), len(known)
                missing += followed(new, known, partial(self.store.get, fingerprint))
                self._advance(len(known) - before, f"{arm} on {name}")
        return missing

    def samples(self, arm: str, suite: "LoadedSuite", places: Sequence[int]) -> list[Sample]:
        """Return an arm's scored answers to the items at some places of a suite, in that order."""
        if not places:
            return []
        asked = self._read_by(arm, part(suite, places))
        answers = self.answers(arm, asked)
        without = {
            request.key: Response(unscored=self.unscored[request.item])
            for request in asked.requests
            if request.item in self.unscored
        }
        return asked.samples(arm, {**answers, **without} if without else answers)

    def _read_by(self, arm: str, suite: "LoadedSuite") -> "LoadedSuite":
        """Return a suite with the same items as an arm reads it."""
        own = self.own.get(arm, {}).get(suite.suite.name)
        if own is None or own.items == suite.items:
            return suite
        place_of = {item.key: place for place, item in enumerate(own.items)}
        return part(own, [place_of[item.key] for item in suite.items])

    def _advance(self, more: int, note: str) -> None:
        self.done += more
        self.advance(done=self.done, note=note)

    def _drafts(self, suites: Sequence["LoadedSuite"], missing: Sequence[Request]) -> Drafts:
        """Draft each generation: the reference, and the texts of earlier arms, at fixed places."""
        targets = {item.key: item.target for suite in suites for item in suite.items}
        earlier: dict[str, list[Answers]] = {}
        for (_, suite_name), known in self._known.items():
            earlier.setdefault(suite_name, []).append(known)
        return {
            r.key: (
                targets[r.item] or "",
                *(
                    (known[r.key].text or "") if r.key in known else ""
                    for known in earlier[r.item.suite]
                ),
            )
            for r in missing
            if r.kind == "generate_until"
        }


def part(suite: "LoadedSuite", places: Sequence[int]) -> "LoadedSuite":
    """Return a suite with only the items at some places, in that order."""
    items = tuple(suite.items[place] for place in places)
    by_item: dict[ItemKey, list[Request]] = {item.key: [] for item in items}
    for request in suite.requests:
        if request.item in by_item:
            by_item[request.item].append(request)
    return replace(
        suite,
        items=items,
        requests=tuple(request for item in items for request in by_item[item.key]),
        instances=tuple(suite.instances[place] for place in places),
    )
