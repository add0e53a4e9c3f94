"""Generate only the responses that an arm has not given yet, and store each finished batch."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from harness.pipeline.progress import Advance
from harness.records import Answerer, Answers, Drafts, ItemKey, Request, Sample
from harness.store.answer_times import AnswerClock
from harness.store.answers import AnswerTable

if TYPE_CHECKING:
    from harness.engine import LoadedSuite


@dataclass(slots=True)
class AnswerSession:
    """What answers, and where its answers are stored; it remembers those of this session."""

    answerer: Answerer
    store: AnswerTable
    advance: Advance
    clock: AnswerClock = field(default_factory=AnswerClock)
    done: int = 0
    _known: dict[tuple[str, str], Answers] = field(default_factory=dict)

    def answers(self, arm: str, suite: "LoadedSuite") -> Answers:
        """Return an arm's answers to all requests of a suite; generate those that are missing."""
        self.ask([arm], [suite])
        return self._known[arm, suite.suite.name]

    def ask(self, arms: Iterable[str], suites: Sequence["LoadedSuite"]) -> None:
        """Let arms answer suites, in passes that they share where they can.

        What is stored is not asked again; every finished batch is stored. The texts of arms that
        have answered before are drafts of those that are asked now.
        """
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
        if same:
            self.ask(same, suites)

    def _missing(self, arm: str, suites: Sequence["LoadedSuite"]) -> list[Request]:
        """Return what an arm has not answered yet, after a look into the store."""
        missing: list[Request] = []
        for suite in suites:
            name = suite.suite.name
            known = self._known.setdefault((arm, name), {})
            new = [r for r in suite.requests if r.key not in known]
            if new:
                known |= (found := self.store.get(self.answerer.fingerprint(arm), new))
                self._advance(len(found), f"{arm} on {name}")
                missing += [r for r in new if r.key not in known]
        return missing

    def samples(self, arm: str, suite: "LoadedSuite", places: Sequence[int]) -> list[Sample]:
        """Return an arm's scored answers to the items at some places of a suite, in that order."""
        asked = part(suite, places)
        return asked.samples(arm, self.answers(arm, asked)) if places else []

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
