"""An engine that is loaded only when something is asked that nobody has answered."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import ComparisonError, ModelError
from harness.models.hardware import release_memory
from harness.records import (
    BASE,
    AnswerBatch,
    Answerer,
    Arm,
    ArmAnswerBatch,
    Drafts,
    Request,
    Response,
    answers_of_one,
)
from harness.store.answers import AnswerTable, Loaded, Shown
from harness.suites.tokenize import too_long


def check_unchanged(fingerprints: Mapping[str, str], answerer: Answerer) -> None:
    """Refuse answers of a model that became another one after it was declared.

    Raises:
        ComparisonError: Naming the arm.
    """
    for arm, declared in fingerprints.items():
        if (now := answerer.fingerprint(arm)) != declared:
            raise ComparisonError(
                f"a model must stay the same while it answers: {arm!r} was {declared[:8]} when the "
                f"run began and is {now[:8]} now; run the study again"
            )


@dataclass(slots=True)
class EngineWhenAsked:
    """Answers for the arms that are loaded here; weights are loaded with the first request.

    What loading shows (that an adapter was applied, that a candidate is the base itself) is
    remembered in the table by the arms' fingerprints, which say by which weights, settings and
    versions. Where all is known and nothing is missing, no weights are loaded; where anything is
    not known, they are loaded at once.

    Args:
        arms: The base and the candidates that are loaded here.
        fingerprints: By arm.
        table: Where answers are stored.
        load: Loads the base and attaches every candidate.
        allow_identical: Accept a candidate that is the base itself.
        max_length: What is longer than so many tokens needs no weights to be unscored.
    """

    arms: Sequence[Arm]
    fingerprints: Mapping[str, str]
    table: AnswerTable
    load: Callable[[], Answerer]
    allow_identical: bool
    max_length: int | None = None
    _known: Mapping[str, Shown] = field(default_factory=dict)
    _shown: dict[str, Shown] = field(default_factory=dict)
    _notes: list[str] = field(default_factory=list)
    _engine: Answerer | None = None

    def __post_init__(self) -> None:
        known = self.table.loaded()
        self._known = {fingerprint: one.shown for fingerprint, one in known.items()}
        for arm in self.arms:
            one = known.get(self.fingerprints[arm.name])
            shown = one.shown if one else None
            if arm.name != BASE and not self.allow_identical:
                if shown == "identical":
                    raise ModelError(
                        f"the adapter changes nothing: {arm.path} gives the base's own logits; "
                        "train it, or pass --allow-identical if that is meant"
                    )
                if shown == "attached":
                    shown = None  # it was loaded where it was allowed to change nothing
            if one is None or shown is None:
                self._loaded()
                return
            self._shown[arm.name] = shown
            self._notes += one.notes

    @property
    def notes(self) -> list[str]:
        """What a person should know about how the arms answered, now or when they did."""
        return self._engine.notes if self._engine else list(dict.fromkeys(self._notes))

    @property
    def identical(self) -> frozenset[str]:
        """The candidates that are proven to give the base's own logits on any prompt."""
        if self._engine is not None:
            return self._engine.identical
        return frozenset(name for name, shown in self._shown.items() if shown == "identical")

    def fingerprint(self, arm: str) -> str:
        """Return the sha256 of everything that can change an answer of this arm."""
        return self._engine.fingerprint(arm) if self._engine else self.fingerprints[arm]

    def attach(self, name: str, path: Path, *, allow_identical: bool = False) -> str:
        """Load the engine and add a candidate to it."""
        return self._loaded().attach(name, path, allow_identical=allow_identical)

    def answer(
        self, arm: str, requests: Sequence[Request], *, drafts: Drafts | None = None
    ) -> Iterator[AnswerBatch]:
        """Answer requests of any kinds for one arm; see `answer_arms`."""
        return answers_of_one(self, arm, requests, drafts)

    def answer_arms(
        self,
        asked: Mapping[str, Sequence[Request]],
        *,
        drafts: Mapping[str, Drafts] | None = None,
    ) -> Iterator[ArmAnswerBatch]:
        """Answer what each arm is asked, yielding batches as they are done, in no set order."""
        long: ArmAnswerBatch = []
        fitting: dict[str, list[Request]] = {}
        for arm, requests in asked.items():
            for request in requests:
                if reason := too_long(request, self.max_length):
                    long.append((arm, request, Response(unscored=reason)))
                else:
                    fitting.setdefault(arm, []).append(request)
        if long:
            yield long
        if fitting:
            yield from self._loaded().answer_arms(fitting, drafts=drafts)
            self._remember()

    def release(self) -> None:
        """Give the weights back, and keep what they have shown; they are loaded again if asked."""
        if self._engine is not None:
            self._notes = list(self._engine.notes)
            self._shown = dict.fromkeys(self._engine.identical, "identical")
            self._engine = None
            release_memory()

    def _loaded(self) -> Answerer:
        if self._engine is None:
            engine = self.load()
            check_unchanged({arm.name: self.fingerprints[arm.name] for arm in self.arms}, engine)
            self._engine = engine
            self._remember()
        return self._engine

    def _remember(self) -> None:
        """Keep what is known of the loaded arms; notes belong to the base, which all share."""
        assert self._engine is not None
        shown: dict[str, Shown] = {}
        for arm in self.arms:
            mark = self.fingerprints[arm.name]
            if arm.name in self._engine.identical:
                shown[mark] = "identical"
            elif self._known.get(mark) == "changes" or not self.allow_identical:
                shown[mark] = "changes"
            else:
                shown[mark] = "attached"
        found = {mark: Loaded(one) for mark, one in shown.items()}
        found[self.fingerprints[BASE]] = Loaded("attached", tuple(self._engine.notes))
        self.table.note_loaded(found)


@dataclass(slots=True)
class SeveralBases:
    """The engine of the study's base, and one for each arm that is another model.

    One model is in memory at a time: before another is loaded, the one before is given back.

    Args:
        main: Answers for the study's base and the candidates on it.
        others: By arm, what makes the engine of a candidate's own base, or of a form that it is
            served in.
        called: By arm, what that engine calls it: the base, or an adapter on it.
        fingerprints: By arm.
    """

    main: EngineWhenAsked
    others: Mapping[str, Callable[[], EngineWhenAsked]]
    called: Mapping[str, str]
    fingerprints: Mapping[str, str]
    _opened: dict[str, EngineWhenAsked] = field(default_factory=dict)

    @property
    def notes(self) -> list[str]:
        """What a person should know about how the arms answered."""
        found = list(self.main.notes)
        for name in self.others:
            found += [f"{name}: {note}" for note in self._open(name).notes]
            self._open(name).release()
        return found

    @property
    def identical(self) -> frozenset[str]:
        """The candidates that give the base's own logits; none on a base of its own does."""
        return self.main.identical

    def fingerprint(self, arm: str) -> str:
        """Return the sha256 of everything that can change an answer of this arm."""
        return self.fingerprints[arm] if arm in self.others else self.main.fingerprint(arm)

    def attach(self, name: str, path: Path, *, allow_identical: bool = False) -> str:
        """Add a candidate on the study's base."""
        return self.main.attach(name, path, allow_identical=allow_identical)

    def answer(
        self, arm: str, requests: Sequence[Request], *, drafts: Drafts | None = None
    ) -> Iterator[AnswerBatch]:
        """Answer requests of any kinds for one arm, yielding batches as they are done."""
        if arm not in self.others:
            yield from self.main.answer(arm, requests, drafts=drafts)
        elif requests:
            engine = self._open(arm)
            try:
                yield from engine.answer(self.called[arm], requests, drafts=drafts)
            finally:
                engine.release()

    def answer_arms(
        self,
        asked: Mapping[str, Sequence[Request]],
        *,
        drafts: Mapping[str, Drafts] | None = None,
    ) -> Iterator[ArmAnswerBatch]:
        """Answer what each arm is asked: those of one base together, one base after another."""
        shared = {arm: requests for arm, requests in asked.items() if arm not in self.others}
        yield from self.main.answer_arms(shared, drafts=drafts)
        for arm in (arm for arm in asked if arm in self.others):
            for batch in self.answer(arm, asked[arm], drafts=(drafts or {}).get(arm)):
                yield [(arm, request, response) for request, response in batch]

    def _open(self, name: str) -> EngineWhenAsked:
        self.main.release()
        if name not in self._opened:
            self._opened[name] = self.others[name]()
        return self._opened[name]
