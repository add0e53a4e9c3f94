"""Ask an arm only what it has not answered yet, and keep every answer as soon as it is there."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from harness.pipeline.progress import Advance
from harness.records import Answerer, ItemKey, Request, Response, Sample
from harness.store import AnswerStore

if TYPE_CHECKING:
    from harness.engine import LoadedSuite

Known = dict[tuple[ItemKey, int], Response]
"""Answers by item and request index."""


@dataclass(slots=True)
class Asking:
    """The engine and the store behind one question: what does this arm answer to these items?"""

    engine: Answerer
    store: AnswerStore
    advance: Advance
    done: int = 0
    _known: dict[tuple[str, str], Known] = field(default_factory=dict)

    def answers(self, arm: str, suite: "LoadedSuite") -> Known:
        """Return an arm's answers to all requests of a suite, asking for those that are missing."""
        name = suite.suite.name
        known = self._known.setdefault((arm, name), {})
        new = [r for r in suite.requests if (r.item, r.index) not in known]
        if not new:
            return known
        fingerprint, note = self.engine.fingerprint(arm), f"{arm} on {name}"
        stored = self.store.get(fingerprint, new)
        known.update(stored)
        self._tell(len(stored), note)
        missing = [r for r in new if (r.item, r.index) not in known]
        for batch in self.engine.answer(arm, missing, drafts=self._drafts(suite, missing)):
            self.store.put(fingerprint, batch)
            known.update({(r.item, r.index): response for r, response in batch})
            self._tell(len(batch), note)
        return known

    def samples(self, arm: str, suite: "LoadedSuite", places: Sequence[int]) -> list[Sample]:
        """Return an arm's judged answers to the items at some places of a suite, in that order."""
        asked = part(suite, places)
        return asked.samples(arm, self.answers(arm, asked)) if places else []

    def _tell(self, more: int, note: str) -> None:
        self.done += more
        self.advance(done=self.done, note=note)

    def _drafts(
        self, suite: "LoadedSuite", missing: Sequence[Request]
    ) -> dict[tuple[ItemKey, int], tuple[str, ...]]:
        """Guess each generated answer: the reference, and what earlier arms said."""
        targets = {item.key: item.target for item in suite.items}
        earlier = [known for (_, name), known in self._known.items() if name == suite.suite.name]
        return {
            (r.item, r.index): tuple(
                text
                for text in (
                    targets[r.item],
                    *(k[r.item, r.index].text for k in earlier if (r.item, r.index) in k),
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
