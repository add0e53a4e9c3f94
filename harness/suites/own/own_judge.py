"""A judge of one's own: a function in a module beside a suite's YAML, run where a study trusts it.

A suite declares ``judge: my_module:score``; the function takes a row and the responses to it and
returns a `harness.records.Verdict`, as those in `harness.rating.judges` do.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from harness.errors import StudyError, nearest
from harness.files import sha256_of
from harness.records import Document, Response, Verdict

_DIGITS = 12
"""Digits of a module's sha256 in a judge's name: another code is another judge."""


@dataclass(frozen=True, slots=True)
class OwnJudge:
    """A loaded function; ``name`` says which, and of which code."""

    name: str
    function: Callable[[Document, Sequence[Response]], object]

    def __call__(self, doc: Document, responses: Sequence[Response]) -> Verdict:
        """Judge one row.

        Raises:
            TypeError: If the function returns no verdict.
            ValueError: If its score is none in [0, 1].
        """
        verdict = self.function(doc, responses)
        if not isinstance(verdict, Verdict):
            raise TypeError(f"{self.name} must return a Verdict: found {type(verdict).__name__}")
        if (verdict.score is None) != (verdict.outcome == "unscored"):
            raise ValueError(f"{self.name}: only what is unscored has no score")
        if verdict.score is not None and not 0.0 <= verdict.score <= 1.0:
            raise ValueError(f"{self.name} must score in [0, 1]: found {verdict.score}")
        return verdict


def load_judge(declared: str, folder: Path | None, *, trusted: bool) -> OwnJudge:
    """Load the judge that a suite declares as ``module:function``.

    Args:
        declared: What its YAML says.
        folder: The suite's own folder.
        trusted: Whether the study lets its code run.

    Raises:
        StudyError: If it does not, or if there is no such function.
    """
    module, _, name = declared.partition(":")
    if folder is None or not module.isidentifier() or not name.isidentifier():
        raise StudyError(
            f"a judge of one's own is 'module:function' in a suite's own folder: found {declared!r}"
        )
    file = folder / f"{module}.py"
    if not trusted:
        raise StudyError(
            f"code of a suite runs only where the study trusts it: the judge {declared!r} is in "
            f"{file}; read it, then write 'trust: [judge]' into the suite's entry"
        )
    if not file.is_file():
        raise StudyError(f"no judge {declared!r}: {file} is not there")
    named = f"{module}_{sha256_of(file)[:_DIGITS]}"
    spec = spec_from_file_location(f"harness_own_judge_{named}", file)
    assert spec is not None
    assert spec.loader is not None
    loaded = module_from_spec(spec)
    sys.modules[spec.name] = loaded  # as an import does: dataclasses look there
    try:
        spec.loader.exec_module(loaded)
    except Exception as error:  # of whatever the module does
        raise StudyError(f"a judge must load: {file}: {type(error).__name__}: {error}") from error
    function = getattr(loaded, name, None)
    if not callable(function):
        raise StudyError(f"no function {name!r} in {file}{nearest(name, vars(loaded))}")
    return OwnJudge(f"{declared}@{sha256_of(file)[:_DIGITS]}", function)
