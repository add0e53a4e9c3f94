"""A suite ready to be answered: items, requests as token ids, and how answers become samples."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from harness.errors import ComparisonError, ModelError, StudyError
from harness.models.fingerprint import text_hash, tokenizer_hash
from harness.records import Item, ItemKey, Request, Response, Sample, Suite
from harness.study import SuiteSection
from harness.suites import catalogue, score_answers
from harness.suites.lm_eval_task import load_task, quiet
from harness.suites.tokenize import Encoder, cut_left, generation_settings, ids_hash, render

MESSAGES = "messages"
"""Rows of a suite of ours that have this field, a conversation that ends with a user's turn, are
shown as real turns where a chat template is in use, and as lm-eval's plain transcript elsewhere."""


@dataclass(frozen=True, slots=True)
class Asking:
    """How prompts are made; together with a tokenizer it determines every token id.

    ``room`` is the number of tokens to which longer items are cut, None where they stay whole.
    """

    task: Any
    suite: Suite
    chosen: tuple[int, ...]
    chat: bool
    seed: int
    room: int | None = None


@dataclass(frozen=True, slots=True)
class LoadedSuite:
    """A suite as every arm sees it.

    ``requests`` are in the order of ``items``; a request belongs to its item by
    ``(request.item, request.index)``. Where a task has several filters, an item bears the name of
    the first; the metrics of the others are columns of its verdict.
    """

    suite: Suite
    items: tuple[Item, ...]
    requests: tuple[Request, ...]
    asking: Asking
    instances: tuple[tuple[Any, ...], ...]
    tokenizer: Any
    databases: str | None = None

    @property
    def notes(self) -> list[str]:
        """What a person should know about the prompts."""
        cuts = [item.cut for item in self.items if item.cut]
        text = (
            f"{len(cuts)} of {len(self.items)} items of {self.suite.name} were cut on the left "
            f"by up to {max(cuts, default=0)} tokens to fit the context"
        )
        return [text] if cuts else []

    def samples(self, arm: str, answers: Mapping[tuple[ItemKey, int], Response]) -> list[Sample]:
        """Judge one arm's answers: lm-eval's own filters and metrics, or the suite's judge."""
        count = Counter(request.item for request in self.requests)
        given = [
            tuple(
                answers.get((item.key, index), Response(unscored="not answered"))
                for index in range(count[item.key])
            )
            for item in self.items
        ]
        decided = score_answers.judge(
            self.asking.task, self.suite, self.items, self.instances, given, self.databases
        )
        return [
            Sample(item=item, arm=arm, responses=responses, verdict=verdict)
            for item, responses, verdict in zip(self.items, given, decided, strict=True)
        ]


def load_suite(
    section: SuiteSection,
    *,
    engine_tokenizer: Any,
    template: str,
    seed: int,
    folder: Path,
    room: int | None = None,
) -> LoadedSuite:
    """Load a suite and make its prompts.

    Args:
        section: The study's entry: name, data, limit, split, few-shot count, template.
        engine_tokenizer: The base's tokenizer; all arms get its ids.
        template: ``auto`` (the tokenizer's chat template if it has one) or ``none`` (plain text).
        seed: Seed of the few-shot draw (lm-eval's ``fewshot_random_seed``) and of sampled answers.
        folder: The study's folder, to which relative paths belong.
        room: Tokens that fit every arm's context, to which a suite with left truncation is cut.

    Raises:
        StudyError: If the suite or template is not known, or has no score per item.
        DataError: If its rows are missing, malformed or empty.
    """
    chosen_template = section.template or template
    if chosen_template not in ("auto", "none"):
        raise StudyError(f"template must be 'auto' or 'none': found {chosen_template!r}")
    task = load_task(section, folder)
    suite = _declared(section, task)
    docs = list(task.eval_docs)
    hashes = [score_answers.doc_hash(doc) for doc in docs]
    asking = Asking(
        task=task,
        suite=suite,
        chosen=_chosen(hashes, section.limit),
        chat=chosen_template == "auto" and bool(engine_tokenizer.chat_template),
        seed=seed,
        room=room if section.truncation == "left" else None,
    )
    instances = instances_of(asking, engine_tokenizer)
    keys = _keys(asking, [hashes[index] for index in asking.chosen])
    made = _requests(asking, instances, keys, engine_tokenizer)
    items = tuple(
        _item(asking, key, index, group, *made[key])
        for key, index, group in zip(keys, asking.chosen, instances, strict=True)
    )
    databases = str(folder / section.databases) if section.databases else None
    everything = tuple(request for key in keys for request in made[key][0])
    return LoadedSuite(suite, items, everything, asking, instances, engine_tokenizer, databases)


def _declared(section: SuiteSection, task: Any) -> Suite:
    suite = catalogue.builtin_suites().get(section.name)
    if suite is None:
        suite = catalogue.declaration(section.name, score_answers.plain_config(task))
    if section.allow and suite.judge != "sql":
        raise StudyError(
            f"only suites of the sql judge can allow differences: found {section.allow[0]!r} for "
            f"{section.name!r}"
        )
    suite = replace(suite, allow=section.allow or suite.allow)
    return replace(suite, margin=suite.margin if section.margin is None else section.margin)


def _chosen(hashes: Sequence[str], limit: int | None) -> tuple[int, ...]:
    """Return the rows to score: all, or the first few in an order that only the rows determine."""
    if limit is None or limit >= len(hashes):
        return tuple(range(len(hashes)))
    order = sorted(range(len(hashes)), key=lambda i: (text_hash(hashes[i]), i))
    return tuple(sorted(order[:limit]))


def instances_of(asking: Asking, tokenizer: Any) -> tuple[tuple[Any, ...], ...]:
    """Let lm-eval build the requests of each chosen row, few-shot draws freshly seeded."""
    task = asking.task
    task.set_fewshot_seed(asking.seed)
    with quiet():
        task.build_all_requests(
            samples=set(asking.chosen),
            apply_chat_template=asking.chat,
            fewshot_as_multiturn=asking.chat,
            chat_template=partial(_templated, tokenizer) if asking.chat else None,
            tokenizer_name="",
        )
    groups: dict[int, list[Any]] = defaultdict(list)
    for instance in task.instances:
        groups[instance.doc_id].append(instance)
    made = tuple(
        tuple(sorted(groups[place], key=lambda instance: instance.idx))
        for place in range(len(asking.chosen))
    )
    if asking.chat and asking.suite.name in catalogue.builtin_suites():
        for instance in chain.from_iterable(made):
            if MESSAGES in instance.doc:
                text = render(tokenizer, instance.doc[MESSAGES], generate=True)
                instance.arguments = (text, *instance.arguments[1:])
    return made


def _templated(tokenizer: Any, history: Any, add_generation_prompt: bool = True) -> str:
    return render(tokenizer, history, generate=add_generation_prompt)


def _keys(asking: Asking, hashes: Sequence[str]) -> list[ItemKey]:
    name = score_answers.first_filter(asking.task)
    seen: Counter[str] = Counter()
    keys = []
    for value in hashes:
        keys.append(ItemKey(asking.suite.name, name, value, seen[value]))
        seen[value] += 1
    return keys


def _requests(
    asking: Asking, instances: Sequence[Sequence[Any]], keys: Sequence[ItemKey], tokenizer: Any
) -> dict[ItemKey, tuple[list[Request], int]]:
    """Return each item's requests, and how many tokens were cut from their start."""
    encoder = Encoder(tokenizer)
    made: dict[ItemKey, tuple[list[Request], int]] = {}
    for key, group in zip(keys, instances, strict=True):
        draws = [(one, repeat) for one in group for repeat in range(one.repeats or 1)]
        requests = [
            _request(instance, key, index, encoder, {"seed": asking.seed, "repeat": repeat})
            for index, (instance, repeat) in enumerate(draws)
        ]
        made[key] = cut_left(requests, asking.room, tokenizer) if asking.room else (requests, 0)
    return made


def _request(
    instance: Any, key: ItemKey, index: int, encoder: Encoder, sampling: Mapping[str, int]
) -> Request:
    kind, args = instance.request_type, instance.args
    if kind == "loglikelihood":
        context_ids, continuation_ids = encoder.pair(args[0], args[1])
        return Request(
            kind=kind, item=key, index=index, context=args[0], continuation=args[1],
            context_ids=context_ids, continuation_ids=continuation_ids,
        )  # fmt: skip
    settings: dict[str, Any] = {}
    if kind == "generate_until":
        settings = generation_settings(args[1])
        if settings.get("do_sample"):
            settings = {**sampling, **settings}
    return Request(
        kind=kind, item=key, index=index, context=args[0], continuation="",
        context_ids=tuple(encoder.encode(args[0])), settings=settings,
    )  # fmt: skip


def _item(
    asking: Asking,
    key: ItemKey,
    index: int,
    group: Sequence[Any],
    requests: Sequence[Request],
    cut: int,
) -> Item:
    doc = group[0].doc
    suite = asking.suite
    cluster = doc.get(suite.cluster) if suite.cluster else None
    return Item(
        key=key,
        doc_id=index,
        doc=doc,
        prompt=requests[0].context,
        prompt_hash=ids_hash([[*r.context_ids, -1, *r.continuation_ids] for r in requests]),
        target=str(asking.task.doc_to_target(doc)),
        cluster=f"{key.doc_hash}:{key.occurrence}" if cluster is None else str(cluster),
        slices={n: str(doc[n]) for n in suite.slices if doc.get(n) is not None},
        arguments=tuple(tuple(instance.args) for instance in group),
        cut=cut,
    )


def check_same_ids(loaded: Sequence[LoadedSuite], adapter: Path) -> None:
    """Refuse an adapter whose own tokenizer would show the model other ids for any prompt.

    Extra tokens that no prompt uses are allowed; so is a folder without a tokenizer, or without a
    chat template of its own.

    Raises:
        ComparisonError: If ids differ, naming the first such item.
        ModelError: If the folder's tokenizer cannot be read.
    """
    if not loaded or not any((adapter / name).is_file() for name in _TOKENIZER_FILES):
        return
    from transformers import AutoTokenizer

    try:
        theirs = AutoTokenizer.from_pretrained(str(adapter))
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"an adapter's tokenizer must be readable: {adapter}: {reason}") from error
    theirs.chat_template = theirs.chat_template or loaded[0].tokenizer.chat_template
    for suite in loaded:
        if tokenizer_hash(theirs) != tokenizer_hash(suite.tokenizer):
            _compare(suite, theirs, adapter)


_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer_config.json")


def _compare(suite: LoadedSuite, theirs: Any, adapter: Path) -> None:
    instances = instances_of(suite.asking, theirs)
    keys = [item.key for item in suite.items]
    made = _requests(suite.asking, instances, keys, theirs)
    for request in suite.requests:
        other = made[request.item][0][request.index]
        ours = (request.context_ids, request.continuation_ids)
        if (other.context_ids, other.continuation_ids) != ours:
            raise ComparisonError(
                f"every arm must see the same token ids: the tokenizer or chat template in "
                f"{adapter} gives others for item {request.item.doc_hash[:12]} of "
                f"{suite.suite.name!r}; remove it from the folder, or score with the base's"
            )
