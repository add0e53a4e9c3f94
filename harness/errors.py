"""What can go wrong in a way that a user can mend.

HarnessError              exit code 2: usage or configuration; the message is one sentence
├── StudyError            the study file or a command's arguments
├── DataError             a data file: path, line number, rule, remedy
├── MissingExtraError     packages of an extra are not installed (`harness.extras`)
│   └── MissingMeasureError   exit code 3: scores by another measure would be no comparison
├── ModelError            a base or an adapter that cannot be used as asked
│   ├── DivergedError     training loss became NaN or infinite
│   └── EndpointError     exit code 3: a server whose replies cannot be scored
├── ComparisonError       exit code 3: arms, items, prompts or scorers that may not be compared
└── InfrastructureError   exit code 3: disk, memory or database trouble; finished work is kept
"""

from difflib import get_close_matches
from typing import TYPE_CHECKING

from harness.secrets import redact

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "ComparisonError",
    "DataError",
    "DivergedError",
    "EndpointError",
    "HarnessError",
    "InfrastructureError",
    "MissingExtraError",
    "MissingMeasureError",
    "ModelError",
    "StudyError",
    "nearest",
    "redact",
]


class HarnessError(Exception):
    """A failure that the user can mend; the command line prints it without a traceback."""

    exit_code = 2

    def __str__(self) -> str:
        """Return the sentence, without what was filled in from the environment."""
        return redact(super().__str__())


class StudyError(HarnessError):
    """A study file or a command line that asks for something that is not there."""


class DataError(HarnessError):
    """A data file that is missing, malformed or empty."""


class MissingExtraError(HarnessError):
    """Packages that an extra would bring are not installed; the message has the line to type."""


class MissingMeasureError(MissingExtraError):
    """The package by which a suite's scores were declared is missing: none takes its place."""

    exit_code = 3


class ModelError(HarnessError):
    """A base model or an adapter that cannot be used as the study asks."""


class DivergedError(ModelError):
    """Training loss became NaN or infinite."""


class EndpointError(ModelError):
    """A server whose replies are not what was asked for: nothing of them is scored."""

    exit_code = 3


class ComparisonError(HarnessError):
    """Two arms that may not be compared: items, prompts, scorers or settings differ."""

    exit_code = 3


class InfrastructureError(HarnessError):
    """A disk, memory or database failure; everything finished before it is kept."""

    exit_code = 3


def nearest(name: str, known: "Iterable[str]") -> str:
    """End an error message with the known name that is closest to a mistyped one.

    >>> nearest("domain-qa", ["domain_qa", "sql"])
    "; did you mean 'domain_qa'?"
    >>> nearest("zzz", ["domain_qa", "sql"])
    '; known: domain_qa, sql'
    """
    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(names)}" if names else ""
