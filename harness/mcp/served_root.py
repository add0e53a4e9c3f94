"""The folder that a server is about: whatever it is asked for, or a study names, lies in it."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import study as studies
from harness.errors import StudyError
from harness.inputs import expanded
from harness.study import Study

_PROSE = {"note", "template", "prompt"}
"""Keys of a study whose values are texts."""


@dataclass(frozen=True, slots=True)
class ServedRoot:
    """A folder outside of which nothing is read or written, links followed."""

    path: Path

    def inside(self, name: str) -> Path:
        """Return a path under the root.

        Args:
            name: Relative to the root, or absolute and in it.

        Raises:
            StudyError: If it, or a link in the folder that it names, leads out.
        """
        place = self._resolved(name, self.path)
        self._refuse_links(place)
        return place

    def shown(self, place: Path) -> str:
        """Return a path as it is called under the root."""
        return str(place.relative_to(self.path)) if place.is_relative_to(self.path) else place.name

    def out(self, study: Study, name: str) -> Path:
        """Return the run folder of a study: the one that is named, else ``runs/<study>``."""
        return self.inside(name or str(Path("runs", study.name)))

    def study(self, name: str, *, trusted: bool) -> Study:
        """Read a study all of whose files lie under the root.

        Args:
            name: Of the study file.
            trusted: It may run code of its own and ask servers.

        Raises:
            StudyError: If it is none, names a path outside, or needs a trust that it has not.
        """
        study = studies.load(self.inside(name))
        if not trusted and (asked := next(_asks_for_trust(study), "")):
            raise StudyError(
                f"a server without --allow-run only reads: {name} has {asked}, which could run "
                "code or send something; start it with 'harness mcp --allow-run'"
            )
        for said in _texts(study.model_dump(mode="json")):
            if "://" in said:
                kind, _, said = said.partition("://")  # noqa: PLW2901 - the file behind an address
                if kind.partition("+")[0] not in {"sqlite", "duckdb", "file"}:
                    continue
                said = said.removeprefix("/") if kind != "file" else said  # noqa: PLW2901
            if said and _may_be_a_path(said):
                self._refuse_links(self._resolved(str(expanded(said)), study.folder))
        return study

    def _resolved(self, name: str, folder: Path) -> Path:
        try:
            place = (folder / name).resolve()
        except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a NUL
            raise StudyError(f"a path must be one that can be followed: {name!r} is not") from error
        if not place.is_relative_to(self.path):
            raise StudyError(
                f"every path must lie under the root of this server: {name!r} does not lie under "
                f"{self.path}; start it with another --root"
            )
        return place

    def _refuse_links(self, place: Path) -> None:
        if place.is_file():  # what is read with scores lies beside them
            self._refuse([path for path in place.parent.glob("*.json*") if path.is_symlink()])
        for folder, folders, files in os.walk(place):
            paths = [Path(folder, name) for name in (*folders, *files)]
            self._refuse([path for path in paths if path.is_symlink()])

    def _refuse(self, links: Sequence[Path]) -> None:
        for link in links:
            self._resolved(str(link), self.path)


def _asks_for_trust(study: Study) -> Iterator[str]:
    """Yield what in a study runs code of others, or sends something to a server."""
    bases = (study.base, *(c.base for c in study.candidates if c.base))
    if any(base.trust_remote_code for base in bases):
        yield "'trust_remote_code'"
    for suite in study.suites:
        if suite.trust or suite.folder:
            yield f"the folder of suite {suite.name!r}"
    if any(section.backend for section in (study.base, *study.candidates)):
        yield "a 'backend'"
    if any("://" in said for said in _texts(study.model_dump(mode="json"))):
        yield "an address"


def _texts(value: object) -> Iterator[str]:
    """Yield every text in plain data that is not prose."""
    match value:
        case str():
            yield value
        case Mapping():
            for key, one in value.items():
                if key not in _PROSE:
                    yield from _texts(one)
        case Sequence():
            for one in value:
                yield from _texts(one)


def _may_be_a_path(text: str) -> bool:
    return "\n" not in text and len(text) < 4096
