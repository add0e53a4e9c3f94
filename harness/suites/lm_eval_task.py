"""Find and build real lm-eval tasks, with the study's data, split and few-shot count."""

import io
import logging
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal, Protocol

from harness.errors import DataError, HarnessError, StudyError, nearest
from harness.inputs import expanded
from harness.study import SuiteSection
from harness.suites import catalogue, dataset
from harness.suites.own.own_code import is_judged, require_trust

_NAMED = re.compile(r"""^["']?(task|group)["']?:[ ]*["']?([^\s"'#]+)["']?[ ]*$""", re.MULTILINE)


class LmEvalInstance(Protocol):
    """What is used of ``lm_eval.api.instance.Instance``: one request of one row."""

    request_type: Literal["loglikelihood", "loglikelihood_rolling", "generate_until"]
    doc: Mapping[str, object]
    arguments: tuple[object, ...]
    idx: int
    doc_id: int | None
    task_name: str | None
    repeats: int | None
    resps: list[object]
    filtered_resps: dict[str, object]

    @property
    def args(self) -> tuple[Any, ...]:
        """``arguments`` as a tuple: texts, and for generations their settings."""
        ...


class LmEvalFilter(Protocol):
    """What is used of ``lm_eval.api.filter.FilterEnsemble``."""

    name: str

    def apply(self, instances: list[LmEvalInstance], /) -> None:
        """Write ``filtered_resps`` into instances that have ``resps``."""
        ...


class LmEvalTaskConfig(Protocol):
    """What is used of ``lm_eval.config.task.TaskConfig``."""

    task: str
    metric_list: list[dict[str, object]] | None
    metadata: Mapping[str, object] | None
    process_results: object


class LmEvalTask(Protocol):
    """What is used of ``lm_eval.api.task.ConfigurableTask``."""

    OUTPUT_TYPE: str
    multiple_input: bool | int
    instances: list[LmEvalInstance]
    _filters: list[LmEvalFilter]

    @property
    def config(self) -> LmEvalTaskConfig:
        """The task's YAML, as read."""
        ...

    @property
    def eval_docs(self) -> Sequence[Mapping[str, object]]:
        """The rows that are scored; read anew at each access."""
        ...

    def get_config(self, key: str, /) -> object:
        """Return one entry of the configuration."""
        ...

    def set_config(self, *, key: str, value: object) -> None:
        """Change one entry of the configuration."""
        ...

    def higher_is_better(self) -> Mapping[str, bool | None]:
        """Return each metric's direction, None where it is not known."""
        ...

    def set_fewshot_seed(self, seed: int, /) -> None:
        """Seed the draw of few-shot examples."""
        ...

    def build_all_requests(
        self,
        *,
        samples: Collection[int],
        apply_chat_template: bool,
        fewshot_as_multiturn: bool,
        chat_template: Callable[..., str] | None,
        tokenizer_name: str,
    ) -> None:
        """Make ``instances`` of some rows, by their index."""
        ...

    def doc_to_text(self, doc: Mapping[str, object], /) -> object:
        """Return a row's prompt, or its gold choice where each choice has its own context."""
        ...

    def doc_to_target(self, doc: Mapping[str, object], /) -> object:
        """Return a row's reference answer, or the gold choice's index."""
        ...

    def doc_to_choice(self, doc: Mapping[str, object], /) -> Sequence[str]:
        """Return a row's choices."""
        ...

    def process_results(
        self, doc: Mapping[str, object], results: list[object], /
    ) -> Mapping[str, object]:
        """Return the metrics of a row's filtered responses."""
        ...

    def aggregation(self) -> Mapping[str, object]:
        """Return the aggregation of each metric."""
        ...


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress lm-eval's notices and progress bars."""
    log = logging.getLogger("lm_eval")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        log.setLevel(before)


def load_task(section: SuiteSection, folder: Path) -> LmEvalTask:
    """Return lm-eval's task object for a suite of a study.

    Args:
        section: The study's entry for this suite.
        folder: The study's folder, to which a relative ``data`` path belongs.

    Raises:
        StudyError: If there is no such task, or it fixes what the study wants changed.
        DataError: If its rows are not available.
    """
    own = None if section.folder is None else folder / expanded(section.folder)
    path = find(section.name) if own is None else _own(own, section)
    config = _config(path, section.name)
    if own is not None and is_judged(config):  # else lm-eval looks for a program of that name
        config.setdefault("process_results", _judged_elsewhere)
    extra: dict[str, object] = {"config_source": str(path)}
    if section.data is not None:
        _use_data(config, folder / expanded(section.data), section)
    elif own is not None or section.name in catalogue.builtin_suites():
        if "custom_dataset" in config:
            extra["data"] = str(path.parent / "data")
        if section.split != "test":
            config["test_split"] = section.split
    return _build(config, extra, section)


def _build(
    config: dict[str, object], extra: dict[str, object], section: SuiteSection
) -> LmEvalTask:
    from lm_eval.tasks import TaskManager

    name = section.name
    _template_in_sandbox()
    with quiet():
        manager = TaskManager(include_defaults=False, metadata=extra)
        try:
            task: LmEvalTask = manager.load([config])["tasks"][config["task"]]
        except HarnessError:
            raise
        except KeyError as error:
            raise DataError(f"suite {name!r} needs a split that its data lack: {error}") from error
        except Exception as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            raise DataError(
                f"the rows of suite {name!r} must be available: {reason}; give a local copy with "
                "'data:' (a JSONL file or folder in the suite's row shape)"
            ) from error
    fixed = task.get_config("num_fewshot")
    if section.num_fewshot is not None:
        if fixed == 0 and section.num_fewshot:
            raise StudyError(f"suite {name!r} is defined without few-shot examples: num_fewshot")
        task.set_config(key="num_fewshot", value=section.num_fewshot)
    elif fixed is None:
        task.set_config(key="num_fewshot", value=0)
    return task


def _own(folder: Path, section: SuiteSection) -> Path:
    """Return the YAML of a suite of one's own, if the study trusts what it would run."""
    path = folder / f"{section.name}.yaml"
    if not path.is_file():
        raise StudyError(
            f"the folder of suite {section.name!r} holds {path.name}: {path} is not there"
        )
    with _readable(path, section.name):
        require_trust(path, section.name, trusted="code" in section.trust)
    return path


def _judged_elsewhere(_doc: Mapping[str, object], _results: list[object]) -> dict[str, float]:
    """Stand for lm-eval's metrics where a suite has a judge."""
    return {}


@cache
def _template_in_sandbox() -> None:
    """Let lm-eval render a task's templates in Jinja's sandbox, and keep them compiled.

    They are data of whoever wrote the task: outside of it a template can reach every class of
    Python, and with it run anything. lm-eval compiles them anew for every item and field.
    """
    from jinja2.sandbox import SandboxedEnvironment
    from lm_eval import utils

    sandbox = SandboxedEnvironment(
        undefined=utils.env.undefined, keep_trailing_newline=utils.env.keep_trailing_newline
    )
    sandbox.filters |= utils.env.filters
    sandbox.from_string = lru_cache(maxsize=1024)(sandbox.from_string)  # type: ignore[assignment, method-assign]
    utils.env = sandbox


def find(name: str) -> Path:
    """Return the YAML of a task: ours first, then lm-eval's own.

    Raises:
        StudyError: If there is none, with the nearest known name, or if it is a group of tasks.
    """
    if name in catalogue.builtin_suites():
        return catalogue.path_of(name)
    tasks, groups = lm_eval_names()
    if name in tasks:
        return tasks[name]
    if name in groups:
        raise StudyError(f"a suite must be one task: {name!r} is a group; name its parts")
    known = [*catalogue.builtin_suites(), *tasks]
    raise StudyError(f"no suite {name!r} under tasks/ or in lm-eval{nearest(name, known)}")


@cache
def lm_eval_names() -> tuple[dict[str, Path], set[str]]:
    """Return lm-eval's tasks with their files, and the names of its groups.

    Reads the one line that names each; lm-eval's own index parses 14,000 files for 20 seconds.
    """
    import lm_eval.tasks

    tasks: dict[str, Path] = {}
    groups: set[str] = set()
    for path in sorted(Path(lm_eval.tasks.__file__).parent.glob("**/*.yaml")):
        text = path.read_text(encoding="utf-8", errors="replace")
        for key, name in _NAMED.findall(text):
            if key == "task":
                tasks[name] = path
            else:
                groups.add(name)
    return tasks, groups - tasks.keys()


def _config(path: Path, name: str) -> dict[str, object]:
    from lm_eval.tasks._yaml_loader import load_yaml

    with _readable(path, name):
        config = dict(load_yaml(path, resolve_func=True))
    for key in ("tag", "group"):
        config.pop(key, None)
    return config


@contextmanager
def _readable(path: Path, name: str) -> Iterator[None]:
    """Say in one sentence what lm-eval cannot read."""
    try:
        yield
    except HarnessError:
        raise
    except Exception as error:
        raise StudyError(f"suite {name!r} must be readable by lm-eval: {path}: {error}") from error


def _use_data(config: dict[str, object], path: Path, section: SuiteSection) -> None:
    """Replace the task's own dataset by a file or folder of rows."""
    wanted = str(config.get("test_split") or config.get("validation_split") or "test")
    splits = dataset.splits_of(path, split=wanted)
    if config.get("custom_dataset") is dataset.load_labelled:
        splits = dataset.with_labels(splits, dataset.declared_labels(config))
    scored = next((s for s in (section.split, wanted, "test") if s in splits), None)
    if scored is None:
        if len(splits) > 1:
            raise DataError(f"a data folder needs {wanted}.jsonl: {path} has {', '.join(splits)}")
        scored = next(iter(splits))
    config["custom_dataset"] = lambda **_: dataset.datasets_from(splits)
    config["test_split"] = scored
    for key in ("training_split", "validation_split", "fewshot_split"):
        if config.get(key) not in splits:
            config.pop(key, None)
    if "training_split" not in config and "train" in splits and scored != "train":
        config["training_split"] = "train"
    if not {"training_split", "validation_split", "fewshot_split"} & config.keys():
        config["fewshot_split"] = scored  # named, so that lm-eval leaves the scored row out
