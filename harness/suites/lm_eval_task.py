"""Find and build real lm-eval tasks, with the study's data, split and few-shot count put in."""

import io
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from functools import cache
from pathlib import Path
from typing import Any

from harness.errors import DataError, HarnessError, StudyError, nearest
from harness.study import SuiteSection
from harness.suites import catalogue, dataset

_NAMED = re.compile(r"""^["']?(task|group)["']?:[ ]*["']?([^\s"'#]+)["']?[ ]*$""", re.MULTILINE)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep lm-eval's notices and progress bars off a user's terminal."""
    log = logging.getLogger("lm_eval")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        log.setLevel(before)


def load_task(section: SuiteSection, folder: Path) -> Any:
    """Return lm-eval's task object for a suite of a study.

    Args:
        section: The study's entry for this suite.
        folder: The study's folder, to which a relative ``data`` path belongs.

    Raises:
        StudyError: If there is no such task, or it fixes what the study wants changed.
        DataError: If its rows cannot be had.
    """
    path = find(section.name)
    config = _config(path, section.name)
    extra: dict[str, Any] = {"config_source": str(path)}
    if section.data is not None:
        _use_data(config, folder / Path(section.data).expanduser(), section)
    elif section.name in catalogue.builtin_suites():
        if "custom_dataset" in config:
            extra["data"] = str(path.parent / "data")
        if section.split != "test":
            config["test_split"] = section.split
    return _build(config, extra, section)


def _build(config: dict[str, Any], extra: dict[str, Any], section: SuiteSection) -> Any:
    from lm_eval.tasks import TaskManager

    name = section.name
    with quiet():
        manager = TaskManager(include_defaults=False, metadata=extra)
        try:
            task = manager.load([config])["tasks"][config["task"]]
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


def _config(path: Path, name: str) -> dict[str, Any]:
    from lm_eval.tasks._yaml_loader import load_yaml

    try:
        config = dict(load_yaml(path, resolve_func=True))
    except Exception as error:
        raise StudyError(f"suite {name!r} must be readable by lm-eval: {path}: {error}") from error
    for key in ("tag", "group"):
        config.pop(key, None)
    return config


def _use_data(config: dict[str, Any], path: Path, section: SuiteSection) -> None:
    """Put a file or folder of rows in the place of the task's own data set."""
    wanted = config.get("test_split") or config.get("validation_split") or "test"
    splits = dataset.splits_of(path, split=wanted)
    scored = next((s for s in (section.split, wanted, "test") if s in splits), None)
    if scored is None:
        if len(splits) > 1:
            raise DataError(f"a data folder needs {wanted}.jsonl: {path} has {', '.join(splits)}")
        scored = next(iter(splits))
    config["custom_dataset"] = lambda **_: dataset.datasets_of(path, split=wanted)
    config["test_split"] = scored
    for key in ("training_split", "validation_split", "fewshot_split"):
        if config.get(key) not in splits:
            config.pop(key, None)
    if "training_split" not in config and "train" in splits and scored != "train":
        config["training_split"] = "train"
    if not {"training_split", "validation_split", "fewshot_split"} & config.keys():
        config["fewshot_split"] = scored  # named, so that lm-eval leaves the scored row out
