"""Load a suite: its items, its requests as token ids, and how answers become samples."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import fmean
from typing import cast

from harness.errors import StudyError, nearest
from harness.inputs import expanded
from harness.models.fingerprint import text_hash
from harness.models.protocols import ChatMessages, ChatTemplate, Tokenizer
from harness.models.template_options import TemplateWith
from harness.rating.judges import JUDGES
from harness.records import Answers, Item, ItemKey, Request, Response, Sample, Suite
from harness.study import SuiteSection
from harness.suites import catalogue, score_answers
from harness.suites.catalogue import builtin_suites
from harness.suites.dialogue_turns import DIALOGUES, check_dialogues, dialogue_requests, opening
from harness.suites.lm_eval_task import LmEvalInstance, LmEvalTask, load_task, quiet
from harness.suites.measures import check_references, decided_by, with_measure
from harness.suites.own.own_judge import OwnJudge, load_judge
from harness.suites.shown_tools import TOOLS, ToolForm, said_of, show_tools, tool_form
from harness.suites.thought_budget import NO_THINKING, Thinking, thinking_of
from harness.suites.tokenize import Encoder, cut_left, generation_settings, ids_hash, render

MESSAGES = "messages"
"""Rows of a suite of ours, or of one that a judge of ours scores, that have this field, a
conversation that ends with a user's turn, are shown as real turns where a chat template is in use,
and as lm-eval's plain transcript elsewhere."""


@dataclass(frozen=True, slots=True)
class PromptRecipe:
    """How prompts are made; together with a tokenizer it determines every token id.

    ``doc_ids`` are the rows that are scored, ``chat`` says whether the chat template is used,
    ``max_tokens`` is the length to which longer items are truncated, None where they are not.
    ``tools`` says how the chat template is given the tools of rows that have any, ``thinking``
    what it is told about thoughts, and how long these may be.
    """

    task: LmEvalTask
    suite: Suite
    doc_ids: tuple[int, ...]
    chat: bool
    seed: int
    max_tokens: int | None = None
    tools: ToolForm | None = None
    thinking: Thinking = NO_THINKING


@dataclass(frozen=True, slots=True)
class LoadedSuite:
    """A suite as every arm gets it.

    ``requests`` are in the order of ``items`` and belong to them by `Request.key`. Where a task has
    several filters, an item bears the name of the first; the metrics of the others are columns of
    its verdict.
    """

    suite: Suite
    items: tuple[Item, ...]
    requests: tuple[Request, ...]
    recipe: PromptRecipe
    instances: tuple[tuple[LmEvalInstance, ...], ...]
    tokenizer: Tokenizer
    databases: str | None = None
    own_judge: OwnJudge | None = None

    @property
    def notes(self) -> list[str]:
        """What a person should know about the prompts."""
        cuts = [item.cut for item in self.items if item.cut]
        text = (
            f"{len(cuts)} of {len(self.items)} items of {self.suite.name} were cut on the left "
            f"by up to {max(cuts, default=0)} tokens to fit the context"
        )
        first, *others = [str(each.name) for each in self.recipe.task._filters]
        named = (
            f"{self.suite.name} is decided by its filter {first}; the scores by "
            f"{', '.join(others)} stand beside it"
        )
        shown = f"suite {self.suite.name}: its tools are shown {said_of(self.recipe.tools)}"
        has_tools = any(item.doc.get(TOOLS) for item in self.items)
        remark = self.recipe.thinking.remark
        notes = (
            (cuts, text),
            (others, named),
            (has_tools and self.suite.judge, shown),
            (remark, f"{self.suite.name}: {remark}"),
        )
        return [note for holds, note in notes if holds]

    def samples(self, arm: str, answers: Answers) -> list[Sample]:
        """Score one arm's answers: lm-eval's own filters and metrics, or the suite's judge."""
        count = Counter(request.item for request in self.requests)
        responses = [
            tuple(
                self._answer(answers.get((item.key, index)), item)
                for index in range(count[item.key])
            )
            for item in self.items
        ]
        verdicts = score_answers.judge(
            self.recipe.task,
            self.suite,
            self.items,
            self.instances,
            responses,
            self.databases,
            own=self.own_judge,
        )
        from harness.rating.answer_alone import with_token_counts

        verdicts = with_token_counts(verdicts, responses)
        return [
            Sample(item=item, arm=arm, responses=of_item, verdict=verdict)
            for item, of_item, verdict in zip(self.items, responses, verdicts, strict=True)
        ]

    def _answer(self, response: Response | None, item: Item) -> Response:
        """Return a response with its thought apart."""
        if response is None:
            return Response(unscored="not answered")
        from harness.rating.answer_alone import without_thought

        return without_thought(response, prompt=item.prompt, count=self._count)

    def _count(self, text: str) -> int:
        return len(self.tokenizer.encode(text, add_special_tokens=False))

    def mean_score(self, arm: str, answers: Answers) -> float:
        """Return the mean score of one arm's answers; unscored items are left out."""
        scores = [sample.verdict.score for sample in self.samples(arm, answers)]
        return fmean([score for score in scores if score is not None] or [self.suite.worst])


def load_suite(
    section: SuiteSection,
    *,
    engine_tokenizer: Tokenizer,
    template: str,
    seed: int,
    folder: Path,
    max_tokens: int | None = None,
    measure: str | None = None,
    thinking: Thinking = NO_THINKING,
) -> LoadedSuite:
    """Load a suite and make its prompts.

    Args:
        section: The study's entry: name, data, limit, split, few-shot count, template.
        engine_tokenizer: The base's tokenizer; all arms get its ids.
        template: ``auto`` (the tokenizer's chat template if it has one) or ``none`` (plain text).
        seed: Seed of the few-shot draw (lm-eval's ``fewshot_random_seed``) and of sampled answers.
        folder: The study's folder, to which relative paths belong.
        max_tokens: What fits every arm's context; a suite with left truncation is cut to it.
        measure: What an earlier run of the same folder scored conversations by.
        thinking: What the study says of thoughts; a suite's own settings come before it.

    Raises:
        StudyError: If the suite or template is not known, or has no score per item.
        DataError: If its rows are missing, malformed or empty.
        MissingMeasureError: If the package by which it is scored is not installed.
    """
    chosen_template = section.template or template
    if chosen_template not in ("auto", "none"):
        raise StudyError(f"template must be 'auto' or 'none': found {chosen_template!r}")
    task = load_task(section, folder)
    suite = _declared(section, task)
    own = None
    if suite.judge is not None and ":" in suite.judge:
        place = folder / expanded(section.folder) if section.folder else None
        own = load_judge(suite.judge, place, trusted="judge" in section.trust)
        suite = replace(suite, judge=own.name)
    docs = list(task.eval_docs)
    _check_grouping(section, docs)
    check_dialogues(suite, docs, truncated=section.truncation == "left")
    suite = with_measure(suite, docs, asked=section.measure, kept=measure)
    suite = check_references(suite, docs)
    hashes = [score_answers.doc_hash(doc) for doc in docs]
    chat = chosen_template == "auto" and bool(engine_tokenizer.chat_template)
    writes = task.OUTPUT_TYPE == "generate_until"
    recipe = PromptRecipe(
        task=task,
        suite=suite,
        doc_ids=_chosen_docs(hashes, section.limit),
        chat=chat,
        seed=seed,
        max_tokens=max_tokens if section.truncation == "left" else None,
        tools=tool_form(engine_tokenizer) if chat and any(d.get(TOOLS) for d in docs) else None,
        thinking=thinking_of(
            section, engine_tokenizer, thinking, chat=chat, writes=writes, context=max_tokens
        ),
    )
    instances = instances_of(recipe, engine_tokenizer)
    keys = _keys(recipe, [hashes[index] for index in recipe.doc_ids])
    made = requests_of(recipe, instances, keys, engine_tokenizer)
    items = tuple(
        _item(recipe, key, index, group, *made[key])
        for key, index, group in zip(keys, recipe.doc_ids, instances, strict=True)
    )
    databases = section.databases
    if databases and "://" not in databases:
        databases = str(folder / expanded(databases))
    everything = tuple(request for key in keys for request in made[key][0])
    return LoadedSuite(
        suite, items, everything, recipe, instances, engine_tokenizer, databases, own
    )


def _declared(section: SuiteSection, task: LmEvalTask) -> Suite:
    suite = None if section.folder else builtin_suites().get(section.name)
    if suite is None:
        suite = catalogue.declaration(section.name, score_answers.declared_config(task))
    if section.metric:
        suite = _decided_by(section.metric, suite, task)
    if section.allow and suite.judge != "sql":
        raise StudyError(
            f"only suites of the sql judge can allow differences: found {section.allow[0]!r} for "
            f"{section.name!r}"
        )
    suite = replace(
        suite,
        allow=section.allow or suite.allow,
        scale=section.scale or suite.scale,
        target=section.target or suite.target,
        at_least=suite.at_least if section.at_least is None else section.at_least,
    )
    if suite.at_least is not None and not suite.higher_is_better:
        raise StudyError(
            f"a goal is a score that more is better of: a lower {suite.metric} of {section.name!r} "
            "is better; leave 'at_least' out"
        )
    suite = _counting_similar(suite, section)
    score_answers.require_scale(suite, given=section.scale is not None)
    if section.cluster or section.strata:
        suite = replace(suite, cluster=section.cluster, strata=section.strata)
    return replace(suite, margin=suite.margin if section.margin is None else section.margin)


def _counting_similar(suite: Suite, section: SuiteSection) -> Suite:
    """Return a suite with the cosine from which similar answers count as right, if it has one."""
    least = suite.similar if section.similar is None else section.similar
    if least is None:
        return suite
    if suite.judge != "qa":
        raise StudyError(
            f"only suites of the qa judge can count similar answers as right: found similar "
            f"{least} for {section.name!r}"
        )
    from harness.rating.embedding import check_measure
    from harness.rating.similar_answers import MEASURE

    check_measure(MEASURE)
    return replace(suite, similar=least)


def _decided_by(metric: str, suite: Suite, task: LmEvalTask) -> Suite:
    """Return a suite with another of its task's metrics as the primary one."""
    if suite.judge:
        return decided_by(suite, metric)
    if metric == suite.metric:
        return suite
    config = score_answers.declared_config(task, metric)
    other = catalogue.declaration(suite.name, {**config, "metadata": {}})
    return replace(
        suite,
        metric=metric,
        kind="auto",
        higher_is_better=other.higher_is_better,
        threshold=other.threshold,
        scale=other.scale,
    )


def _check_grouping(section: SuiteSection, docs: Sequence[Mapping[str, object]]) -> None:
    """Refuse a field to group by that no row has."""
    for key, name in (("cluster", section.cluster), ("strata", section.strata)):
        if name and not any(doc.get(name) is not None for doc in docs):
            known = {field for doc in docs[:100] for field in doc}
            raise StudyError(
                f"suite {section.name!r} can group its items only by a field of its rows: "
                f"{key} is {name!r}{nearest(name, known)}"
            )


def _chosen_docs(hashes: Sequence[str], limit: int | None) -> tuple[int, ...]:
    """Return the rows to score: all, or the first few in an order that only the rows determine."""
    if limit is None or limit >= len(hashes):
        return tuple(range(len(hashes)))
    order = sorted(range(len(hashes)), key=lambda i: (text_hash(hashes[i]), i))
    return tuple(sorted(order[:limit]))


def instances_of(
    recipe: PromptRecipe, tokenizer: ChatTemplate
) -> tuple[tuple[LmEvalInstance, ...], ...]:
    """Let lm-eval build the requests of each chosen row, few-shot draws freshly seeded."""
    task, template = recipe.task, TemplateWith(tokenizer, recipe.thinking.options)
    task.set_fewshot_seed(recipe.seed)
    try:
        with quiet():
            task.build_all_requests(
                samples=set(recipe.doc_ids),
                apply_chat_template=recipe.chat,
                fewshot_as_multiturn=recipe.chat,
                chat_template=partial(_apply_template, template) if recipe.chat else None,
                tokenizer_name="",
            )
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        shots = task.get_config("num_fewshot") or 0
        remedy = f"num_fewshot is {shots}: are there as many other rows?" if shots else ""
        raise StudyError(
            f"lm-eval must be able to make prompts of the rows of suite {recipe.suite.name!r}: "
            f"{type(error).__name__}: {error}; {remedy or 'are they of its shape?'}"
        ) from error
    groups: dict[int | None, list[LmEvalInstance]] = defaultdict(list)
    for instance in task.instances:
        groups[instance.doc_id].append(instance)
    made = tuple(
        tuple(sorted(groups[number], key=lambda instance: instance.idx))
        for number in range(len(recipe.doc_ids))
    )
    if recipe.chat and (recipe.suite.judge in JUDGES or recipe.suite.name in builtin_suites()):
        for instance in chain.from_iterable(made):
            if MESSAGES in instance.doc or recipe.suite.judge == DIALOGUES:
                text = _conversation(template, instance.doc, recipe)
                instance.arguments = (text, *instance.arguments[1:])
    return made


def _conversation(tokenizer: ChatTemplate, doc: Mapping[str, object], recipe: PromptRecipe) -> str:
    if recipe.suite.judge == DIALOGUES:
        return opening(doc, tokenizer)
    if recipe.tools and doc.get(TOOLS):
        return show_tools(tokenizer, doc, recipe.tools)
    return render(tokenizer, cast(ChatMessages, doc[MESSAGES]), generate=True)


def _apply_template(
    tokenizer: ChatTemplate, history: ChatMessages, add_generation_prompt: bool = True
) -> str:
    return render(tokenizer, history, generate=add_generation_prompt)


def _keys(recipe: PromptRecipe, hashes: Sequence[str]) -> list[ItemKey]:
    name = score_answers.first_filter(recipe.task)
    seen: Counter[str] = Counter()
    keys = []
    for value in hashes:
        keys.append(ItemKey(recipe.suite.name, name, value, seen[value]))
        seen[value] += 1
    return keys


def requests_of(
    recipe: PromptRecipe,
    instances: Sequence[Sequence[LmEvalInstance]],
    keys: Sequence[ItemKey],
    tokenizer: Tokenizer,
) -> dict[ItemKey, tuple[list[Request], int]]:
    """Return each item's requests, and how many tokens were cut from their start."""
    encoder = Encoder(tokenizer)
    made: dict[ItemKey, tuple[list[Request], int]] = {}
    for key, group in zip(keys, instances, strict=True):
        draws = [(one, repeat) for one in group for repeat in range(one.repeats or 1)]
        requests = [
            _request(instance, key, index, encoder, recipe, {"seed": recipe.seed, "repeat": repeat})
            for index, (instance, repeat) in enumerate(draws)
        ]
        if recipe.suite.judge == DIALOGUES:
            said, settings = group[0].doc, requests[0].settings
            laid = TemplateWith(tokenizer, recipe.thinking.options) if recipe.chat else None
            requests = dialogue_requests(said, key, encoder, template=laid, settings=settings)
        made[key] = (
            cut_left(requests, recipe.max_tokens, tokenizer) if recipe.max_tokens else (requests, 0)
        )
    return made


def _request(
    instance: LmEvalInstance,
    key: ItemKey,
    index: int,
    encoder: Encoder,
    recipe: PromptRecipe,
    sampling: Mapping[str, int],
) -> Request:
    kind, args = instance.request_type, instance.args
    if kind == "loglikelihood":
        context_ids, continuation_ids = encoder.pair(args[0], args[1])
        return Request(
            kind=kind, item=key, index=index, context=args[0], continuation=args[1],
            context_ids=context_ids, continuation_ids=continuation_ids,
        )  # fmt: skip
    settings: Mapping[str, object] = {}
    if kind == "generate_until":
        settings = {**generation_settings(args[1]), **recipe.thinking.settings}
        if settings.get("do_sample"):
            settings = {**sampling, **settings}
    return Request(
        kind=kind, item=key, index=index, context=args[0], continuation="",
        context_ids=tuple(encoder.encode(args[0])), settings=settings,
    )  # fmt: skip


def _item(
    recipe: PromptRecipe,
    key: ItemKey,
    index: int,
    group: Sequence[LmEvalInstance],
    requests: Sequence[Request],
    cut: int,
) -> Item:
    doc = group[0].doc
    suite = recipe.suite
    cluster = doc.get(suite.cluster) if suite.cluster and not suite.strata else None
    return Item(
        key=key,
        doc_id=index,
        doc=doc,
        prompt=requests[0].context,
        prompt_hash=ids_hash([[*r.context_ids, -1, *r.continuation_ids] for r in requests]),
        target=str(recipe.task.doc_to_target(doc)),
        cluster=f"{key.doc_hash}:{key.occurrence}" if cluster is None else str(cluster),
        slices={n: str(doc[n]) for n in suite.slices if doc.get(n) not in (None, "")},
        arguments=tuple(tuple(instance.args) for instance in group),
        cut=cut,
    )
