"""A judge model rates a draw's pairs: declared before it is asked, every answer kept at once."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from harness.errors import StudyError
from harness.files import write_text
from harness.pipeline.conclude import conclude, reopen
from harness.pipeline.finished.chat import chat_comparisons
from harness.pipeline.progress import Progress
from harness.rating.answer_alone import without_thought
from harness.records import (
    BASE,
    AnswerBatch,
    Answers,
    ItemKey,
    Judged,
    Request,
    RequestKey,
)
from harness.review.judging import (
    JUDGED,
    ORDERS,
    PairToJudge,
    differences,
    judged_text,
    pairs_to_judge,
    read_judged,
)
from harness.review.key import KEY, read_key
from harness.review.unblind import rated_set
from harness.store import AnswerStore
from harness.store.run_folder import RunFolder
from harness.study import JudgeSection, Study, resolve_model
from harness.suites.thought_budget import Thinking

STORE = "judge.db"
"""The judge's answers, beside ``judge.json``."""

_Turns = Mapping[RequestKey, list[dict[str, str]]]
"""A conversation of one turn, by pair and number."""


@dataclass(frozen=True, slots=True)
class _Judge:
    """What answers requests, and the fingerprint of what can change its answers."""

    answer: Callable[[Sequence[Request]], Iterator[AnswerBatch]]
    fingerprint: str
    requests: Sequence[Request]

    def ask(self, store: AnswerStore, progress: Progress) -> Answers:
        """Return all answers; those that are stored are not asked for again."""
        found = store.get(self.fingerprint, self.requests)
        missing = [request for request in self.requests if request.key not in found]
        with progress.task("judge", len(self.requests)) as advance:
            advance(done=len(found))
            for batch in self.answer(missing) if missing else ():
                stored = store.put(self.fingerprint, batch)
                found.update({request.key: response for request, response in stored})
                advance(done=len(found))
        return found


def judge_draw(
    folder: RunFolder, draw: Path, progress: Progress, *, trust_remote_code: bool = False
) -> Judged:
    """Let the study's judge rate the pairs of a draw, and report the run again.

    What is declared is written before anything is asked, each batch of answers as it is done; a
    second call asks only what is missing.

    Args:
        folder: The run.
        draw: The draw's folder, with its key.
        progress: Where it goes to.
        trust_remote_code: Run code that comes with the judge; a run's lock cannot allow it.

    Returns:
        What it said of every pair whose answers the run still has.

    Raises:
        StudyError: If the study declares no judge, or the draw has been judged by another.
        HarnessError: If model, endpoint or files fail; what was answered is kept.
    """
    with folder.held():
        study, result = reopen(folder)
        section = _declared(study)
        key = read_key(draw / KEY)
        pairs = pairs_to_judge(key, [*result.comparisons, *chat_comparisons(folder)])
        if not pairs:
            raise StudyError(
                f"a judge rates pairs whose answers the run has: {draw} has none (any more); draw "
                "again"
            )
        section = section.model_copy(update={"trust_remote_code": trust_remote_code})
        judge = _open(section, study, pairs)
        judged = Judged(
            model=_title(section),
            prompt=section.prompt,
            samples=section.samples,
            seed=section.seed,
            temperature=section.temperature,
            max_new_tokens=section.max_new_tokens,
            fingerprint=judge.fingerprint,
            sets=tuple(rated_set(name, entry) for name, entry in key["sets"].items()),
        )
        _declare(draw / JUDGED, judged)
        answers = judge.ask(AnswerStore(draw / STORE), progress)
        alone = {
            request.key: without_thought(answers[request.key], prompt=request.context)
            for request in judge.requests
            if request.key in answers
        }
        said = (pair.judged(_replies(alone, pair, section.samples)) for pair in pairs)
        judged = replace(judged, pairs=tuple(said))
        write_text(draw / JUDGED, judged_text(judged))
        _, result = reopen(folder)
        conclude(folder, result, progress)
    return judged


def only_draw(place: Path) -> Path:
    """Return a draw's folder, or that of the only draw of a run.

    Raises:
        StudyError: If it is neither.
    """
    draws = [place] if (place / KEY).is_file() else [
        key.parent for key in sorted((place / "review").glob(f"*/{KEY}"))
    ]  # fmt: skip
    if len(draws) != 1:
        found = ", ".join(str(draw) for draw in draws) or "none"
        raise StudyError(
            f"a judge rates one draw, named by its folder: {place} is none, and its draws are "
            f"{found}"
        )
    return draws[0]


def _declared(study: Study) -> JudgeSection:
    judge = study.review.judge if study.review else None
    if judge is None:
        raise StudyError(
            "a judge is declared before it is asked: the study of this run has none; add 'judge' "
            "with a model or a backend under 'review' and run the study again, which asks no arm "
            "anew"
        )
    return judge


def _declare(path: Path, judged: Judged) -> None:
    """Write who is about to be asked, unless that is known.

    Raises:
        StudyError: If another judge was declared.
    """
    if not path.exists():
        write_text(path, judged_text(judged))
        return
    kept = read_judged(path)
    if found := list(differences(judged, kept)):
        raise StudyError(
            f"a draw has one judge, so that none is chosen by its figures: {path} has another "
            f"{', '.join(found)} than the study; draw again for a new judge"
        )


def _title(section: JudgeSection) -> str:
    """Return what a report calls the judge: of a folder here only its name."""
    folder = Path(section.model)
    return folder.name if folder.is_absolute() and not section.elsewhere else section.title


def _open(section: JudgeSection, study: Study, pairs: Sequence[PairToJudge]) -> _Judge:
    """Open the judge with all its requests: as an endpoint, or loaded here."""
    turns = _turns(section, pairs)
    return _endpoint(section, turns) if section.elsewhere else _local(section, study, turns)


def _endpoint(section: JudgeSection, turns: _Turns) -> _Judge:
    from harness.engine.remote.endpoints import lone_arm
    from harness.suites.text_tokenizer import MessageTemplate, TextTokenizer

    template, bytes_of = MessageTemplate(), TextTokenizer(chat=False)
    arm = lone_arm(
        "the judge",
        section,
        {key: template.apply_chat_template(turn) for key, turn in turns.items()},
    )

    def answer(missing: Sequence[Request]) -> Iterator[AnswerBatch]:
        arm.check(missing)
        yield from arm.answer(missing)

    requests = [
        _request(section, key, turn[0]["content"], bytes_of.encode(turn[0]["content"]))
        for key, turn in turns.items()
    ]
    return _Judge(answer, arm.fingerprint, requests)


def _local(section: JudgeSection, study: Study, turns: _Turns) -> _Judge:
    from harness.engine import open_engine
    from harness.engine.reply import prompt_of
    from harness.models.template_options import thinks
    from harness.suites.thought_budget import default_tokens
    from harness.suites.tokenize import Encoder

    engine = open_engine(section, resolve_model(section.model, study.folder))
    if section.thinking_tokens is None and engine.tokenizer.chat_template:
        tokens = default_tokens(engine.max_length) if thinks(engine.tokenizer, {}) else 0
        section = section.model_copy(update={"thinking_tokens": tokens})
    encoder = Encoder(engine.tokenizer)
    requests = []
    for key, turn in turns.items():
        text = prompt_of(engine.tokenizer, turn)
        requests.append(_request(section, key, text, encoder.encode(text)))
    return _Judge(partial(engine.answer, BASE), engine.fingerprint(BASE), requests)


def _turns(section: JudgeSection, pairs: Sequence[PairToJudge]) -> _Turns:
    """Return what is asked, by pair and number: the samples of one order, then of the other."""
    return {
        (_name(pair), place * section.samples + sample): [
            {"role": "user", "content": pair.prompt(order, section.prompt)}
        ]
        for pair in pairs
        for place, order in enumerate(ORDERS)
        for sample in range(section.samples)
    }


def _request(section: JudgeSection, key: RequestKey, context: str, ids: Sequence[int]) -> Request:
    settings: dict[str, object] = {
        "until": [],
        "max_new_tokens": section.max_new_tokens,
        "do_sample": True,
        "temperature": section.temperature,
        "seed": section.seed,
        "repeat": key[1] % section.samples,
        **Thinking(section.chat_template_kwargs, section.thinking_tokens).settings,
    }
    return Request(
        kind="generate_until",
        item=key[0],
        index=key[1],
        context=context,
        continuation="",
        context_ids=tuple(ids),
        settings=settings,
    )


def _replies(answers: Answers, pair: PairToJudge, samples: int) -> dict[str, list[str]]:
    """Return what was replied to each order; a request that failed is no reply."""
    asked = {
        order: [(_name(pair), place * samples + sample) for sample in range(samples)]
        for place, order in enumerate(ORDERS)
    }
    return {
        order: [answers[key].text or "" for key in keys if key in answers]
        for order, keys in asked.items()
    }


def _name(pair: PairToJudge) -> ItemKey:
    """Return what the requests about a pair are found by: two candidates may share an item."""
    return pair.item._replace(suite=pair.set_name)
