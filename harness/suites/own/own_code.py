"""Code that the YAML of a suite of one's own would run: lm-eval imports whatever it names.

What comes with lm-eval or with us is trusted as the package is; of other files a study says so.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import yaml

from harness.content import TASKS
from harness.errors import StudyError


class _Function(str):
    """What follows ``!function``, not imported."""

    __slots__ = ()


class _Loader(yaml.SafeLoader):
    """Reads lm-eval's YAML without importing anything."""


def _unread(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> _Function:
    return _Function(loader.construct_scalar(node))


_Loader.add_constructor("!function", _unread)


def require_trust(path: Path, name: str, *, trusted: bool) -> None:
    """Refuse a suite's YAML that would run code which the study has not trusted.

    Args:
        path: The YAML; whatever it includes is read, too.
        name: The suite's name.
        trusted: Whether the study lets its code run.

    Raises:
        StudyError: Naming the first piece of code, its file, and what to write.
    """
    found = () if trusted else (*_functions(path, ()), *_programs(path))
    if found:
        file, what = found[0]
        raise StudyError(
            f"code of a suite runs only where the study trusts it: {file} of suite {name!r} names "
            f"{what}; read it, then write 'trust: [code]' into the suite's entry"
        )


@cache
def ours() -> frozenset[str]:
    """Return the functions that built-in suites name, as suites do that were copied from them."""
    configs = (_parsed(path) for path in TASKS.glob("*/*.yaml"))
    return frozenset(name for config in configs for name in _named_in(config))


def _parsed(path: Path) -> object:
    return yaml.load(path.read_bytes(), _Loader)


def _functions(path: Path, within: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Yield the functions that a YAML and what it includes would import, each with its file."""
    path = path.expanduser().resolve()
    if path in within or _is_shipped(path):
        return
    config = yaml.load(path.read_bytes(), _Loader)
    for function in _named_in(config):
        beside = path.parent / f"{function.rpartition('.')[0].replace('.', '/')}.py"
        if function not in ours() or beside.exists():
            yield path, f"the function {function}"
    included = config.get("include") or () if isinstance(config, dict) else ()
    for one in [included] if isinstance(included, str) else included:
        yield from _functions(path.parent / str(one), (*within, path))


def _programs(path: Path) -> Iterator[tuple[Path, str]]:
    """Yield the metrics for which lm-eval would load a program of `evaluate`."""
    import lm_eval.api.metrics  # noqa: F401 - fills the registry
    from lm_eval.api.registry import metric_registry
    from lm_eval.tasks._yaml_loader import load_yaml

    config = load_yaml(path, resolve_func=False)
    if "process_results" in config or is_judged(config):
        return
    for entry in config.get("metric_list") or ():
        metric = entry.get("metric")
        if entry.get("hf_evaluate") is True or metric not in metric_registry:
            yield path, f"the metric {metric}, a program of 'evaluate'"


def is_judged(config: Mapping[str, object]) -> bool:
    """Tell whether a suite's YAML declares a judge, beside which lm-eval's metrics are not used."""
    metadata = config.get("metadata")
    declared = metadata.get("harness") if isinstance(metadata, dict) else None
    return isinstance(declared, dict) and bool(declared.get("judge"))


def _is_shipped(path: Path) -> bool:
    import lm_eval.tasks

    shipped = (TASKS, Path(lm_eval.tasks.__file__).parent)
    return any(path.is_relative_to(folder.resolve()) for folder in shipped)


def _named_in(value: object) -> Iterator[str]:
    match value:
        case _Function():
            yield value
        case dict():
            for one in value.values():
                yield from _named_in(one)
        case list():
            for one in value:
                yield from _named_in(one)
