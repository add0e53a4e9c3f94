"""The catalogue of suites, read from their YAML without loading lm-eval.

A suite is a folder ``tasks/<name>/`` with ``<name>.yaml`` in lm-eval's format. What our pipeline
needs beside lm-eval's own keys is under ``metadata: harness:``, with the names of
`harness.records.Suite`.
"""

from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from harness import content
from harness.errors import StudyError, nearest
from harness.records import Suite
from harness.study import StrictLoader


class _PlainLoader(StrictLoader):
    """Reads lm-eval YAML: ``!function a.b`` becomes the plain text ``a.b``."""


def _as_text(loader: yaml.SafeLoader, node: yaml.Node) -> object:
    return loader.construct_scalar(node) if isinstance(node, yaml.ScalarNode) else None


_PlainLoader.add_constructor("!function", _as_text)


def read_config(path: Path) -> dict[str, Any]:
    """Return a suite's YAML as plain data, ``!function`` names as text.

    Raises:
        StudyError: If the file is no YAML mapping.
    """
    try:
        config = yaml.load(path.read_text(encoding="utf-8"), Loader=_PlainLoader)
    except (OSError, yaml.YAMLError) as error:
        raise StudyError(f"a suite file must be readable YAML: {path}: {error}") from error
    if not isinstance(config, dict):
        raise StudyError(f"a suite file must be a YAML mapping: {path}")
    return config


@cache
def builtin_suites() -> dict[str, Suite]:
    """Return the suites that come with the package, by name."""
    found = {}
    for path in sorted(content.TASKS.glob("*/*.yaml")):
        config = read_config(path)
        if config.get("task") == path.stem == path.parent.name:
            found[path.stem] = declaration(path.stem, config)
    return found


def declaration(name: str, config: dict[str, Any]) -> Suite:
    """Read what a suite declares about itself under ``metadata: harness:``.

    Raises:
        StudyError: If it declares a key that `Suite` does not have.
    """
    declared = dict((config.get("metadata") or {}).get("harness") or {})
    known = {field.name for field in fields(Suite)} - {"name"}
    for key in declared:
        if key not in known:
            raise StudyError(f"suite {name!r} declares an unknown key {key!r}{nearest(key, known)}")
    for key in ("slices", "allow"):
        declared[key] = tuple(declared.get(key, ()))
    declared.setdefault("metric", _first_metric(config))
    declared["agreement"] = agreement(config, declared["metric"])
    declared.setdefault("higher_is_better", _direction(config, declared["metric"]))
    if not declared["higher_is_better"]:
        declared.setdefault("threshold", 0.0)
    return Suite(name=name, **declared)


def agreement(config: dict[str, Any], metric: str) -> str:
    """Return how far scores by a metric agreed with people elsewhere; empty where nobody measured.

    A suite says so in one sentence, or in one for each metric that can be its primary one.
    """
    said = ((config.get("metadata") or {}).get("harness") or {}).get("agreement") or ""
    return str(said.get(metric, "") if isinstance(said, dict) else said)


def _first_metric(config: dict[str, Any]) -> str:
    metrics = config.get("metric_list") or []
    return metrics[0]["metric"] if metrics else "acc"


def _direction(config: dict[str, Any], metric: str) -> bool:
    """Return whether a higher value of the metric is better; what is not said is taken for it."""
    entries = {str(entry.get("metric")): entry for entry in config.get("metric_list") or []}
    return entries.get(metric, {}).get("higher_is_better") is not False


def path_of(name: str) -> Path:
    """Return the YAML file of a built-in suite."""
    return content.TASKS / name / f"{name}.yaml"
