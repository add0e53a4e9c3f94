"""Generate only the responses that an arm has not given yet, and store each finished batch."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from harness.pipeline.progress import Advance
from harness.records import Answerer, Answers, Drafts, ItemKey, Request, Sample
from harness.store import AnswerStore
from harness.store.answer_times import AnswerClock

if TYPE_CHECKING:
    from harness.engine import LoadedSuite


@dataclass(slots=True)
class AnswerSession:
    """What answers, and where its answers are stored; it remembers those of this session."""

    answerer: Answerer
    store: AnswerStore
    advance: Advance
    clock: AnswerClock = field(default_factory=AnswerClock)
    done: int = 0
    _known: dict[tuple[str, str], Answers] = field(default_factory=dict)

    def answers(self, arm: str, suite: "LoadedSuite") -> Answers:
        """Return an arm's answers to all requests of a suite; generate those that are missing."""
        name = suite.suite.name
        known = self._known.setdefault((arm, name), {})
        new = [r for r in suite.requests if r.key not in known]
        if not new:
            return known
        fingerprint, note = self.answerer.fingerprint(arm), f"{arm} on {name}"
        found = self.store.get(fingerprint, new)
        known.update(found)
        self._advance(len(found), note)
        missing = [r for r in new if r.key not in known]
        batches = self.answerer.answer(arm, missing, drafts=self._drafts(suite, missing))
        for batch in self.clock.over(batches, arm, name):
            stored = self.store.put(fingerprint, batch)
            known.update({request.key: response for request, response in stored})
            self._advance(len(stored), note)
        return known

    def samples(self, arm: str, suite: "LoadedSuite", places: Sequence[int]) -> list[Sample]:
        """Return an arm's scored answers to the items at some places of a suite, in that order."""
        asked = part(suite, places)
        return asked.samples(arm, self.answers(arm, asked)) if places else []

    def _advance(self, more: int, note: str) -> None:
        self.done += more
        self.advance(done=self.done, note=note)

    def _drafts(self, suite: "LoadedSuite", missing: Sequence[Request]) -> Drafts:
        """Draft each generation: the reference, and the texts of earlier arms."""
        targets = {item.key: item.target for item in suite.items}
        earlier = [known for (_, name), known in self._known.items() if name == suite.suite.name]
        return {
            r.key: tuple(
                text
                for text in (
                    targets[r.item],
                    *(known[r.key].text for known in earlier if r.key in known),
                )
                if text
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
