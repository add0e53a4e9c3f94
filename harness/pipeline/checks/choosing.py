"""Items that choose a checkpoint are taken out of what judges, for every arm."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness import corpus
from harness.errors import StudyError, nearest
from harness.pipeline.answers.ask import part
from harness.records import ItemKey
from harness.study import Study
from harness.suites.items_used import read_items_used

if TYPE_CHECKING:
    from harness.engine import LoadedSuite


@dataclass(frozen=True, slots=True, kw_only=True)
class SetApart:
    """The suites as they judge, those of ``keep`` as they choose, and what to tell about both."""

    judging: tuple["LoadedSuite", ...]
    choosing: Mapping[str, "LoadedSuite"]
    notes: tuple[str, ...]


def set_apart(
    study: Study, loaded: Sequence["LoadedSuite"], required: Mapping[str, Collection[ItemKey]]
) -> SetApart:
    """Split every suite into items that judge and items that choose, or have chosen elsewhere.

    Items of one cluster stay on one side.

    Args:
        study: Its candidates' ``keep``, and the folders of adapters trained elsewhere.
        loaded: Its suites.
        required: Each suite's must-pass items, which always judge.

    Raises:
        StudyError: If ``keep`` names no suite of the study or takes too many of its items, or if
            items that chose a candidate elsewhere leave none, or a must-pass one.
        DataError: If a folder's record of such items cannot be read.
    """
    used = {
        one.name: read_items_used(_folder(study.path(one.adapter)))
        for one in study.candidates
        if one.adapter
    }
    wanted = _wanted(study, [suite.suite.name for suite in loaded])
    judging: list[LoadedSuite] = []
    notes: list[str] = []
    choosing: dict[str, LoadedSuite] = {}
    for suite in loaded:
        name, must = suite.suite.name, required.get(suite.suite.name, ())
        left, told = _without_used(suite, used, must)
        notes += told
        if name in wanted:
            items, by = wanted[name]
            chosen = choosing_places(left, items, seed=study.seed, spared=must)
            choosing[name] = part(left, chosen)
            rest = set(chosen)
            left = part(left, [place for place in range(len(left.items)) if place not in rest])
            notes.append(f"{len(chosen)} items of {name} choose the checkpoint of {by}, judge none")
        judging.append(left)
    return SetApart(judging=tuple(judging), choosing=choosing, notes=tuple(notes))


def choosing_places(
    suite: "LoadedSuite", wanted: int, *, seed: int, spared: Collection[ItemKey] = ()
) -> list[int]:
    """Draw the places of about so many items of a suite, whole clusters at a time.

    Raises:
        StudyError: If they are more than half of the items.
    """
    groups = groups_of(suite)
    needed = {group for group, item in zip(groups, suite.items, strict=True) if item.key in spared}
    free = [place for place, group in enumerate(groups) if group not in needed]
    names = [groups[place] for place in free]
    if 2 * wanted > len(suite.items) or len(set(names)) < 2 or wanted >= len(free):
        raise StudyError(
            f"no more than half of a suite's items may choose: {wanted} of {len(suite.items)} were "
            f"asked of {suite.suite.name!r}; set 'items' to fewer, or give it more rows"
        )
    _, held = corpus.hold_out(names, share=wanted / len(free), seed=seed)
    return [free[place] for place in held]


def groups_of(suite: "LoadedSuite") -> list[str]:
    """Return what keeps items together: their cluster, or their text where each is its own."""
    if suite.suite.cluster and not suite.suite.strata:
        return [item.cluster for item in suite.items]
    return [item.key.doc_hash for item in suite.items]


def _wanted(study: Study, known: Sequence[str]) -> dict[str, tuple[int, str]]:
    """Return the suites that choose: how many items, and for which candidates."""
    found: dict[str, tuple[int, str]] = {}
    for one in study.candidates:
        for name in one.keep.suites if one.keep else ():
            if name not in known:
                raise StudyError(
                    f"candidate {one.name!r}: keep goes by the study's own suites: {name!r} is none"
                    f"{nearest(name, known)}"
                )
            assert one.keep is not None
            items, by = found.get(name, (0, ""))
            found[name] = (max(items, one.keep.items), f"{by}, {one.name}" if by else one.name)
    return found


def _without_used(
    suite: "LoadedSuite", used: Mapping[str, frozenset[str]], must: Collection[ItemKey]
) -> tuple["LoadedSuite", list[str]]:
    """Leave out the clusters of items that chose a candidate elsewhere."""
    groups, name = groups_of(suite), suite.suite.name
    gone: set[str] = set()
    notes = []
    for candidate, hashes in used.items():
        found = {
            group
            for group, item in zip(groups, suite.items, strict=True)
            if item.key.doc_hash in hashes
        }
        if found:
            count = sum(group in found for group in groups)
            notes.append(f"{count} items of {name} were used to train {candidate}, and judge none")
        gone |= found
    if not gone:
        return suite, []
    kept = [place for place, group in enumerate(groups) if group not in gone]
    if not kept:
        raise StudyError(
            f"items that chose a checkpoint cannot judge it: all of suite {name!r} were used while "
            f"{', '.join(used)} was trained, or share a cluster with those; score it on other rows"
        )
    lost = [key for key in must if key not in {suite.items[place].key for place in kept}]
    if lost:
        raise StudyError(
            f"a must_pass item of suite {name!r} was used while {', '.join(used)} was trained: it "
            "cannot judge; take it out of 'must_pass', or train without it"
        )
    return part(suite, kept), notes


def _folder(path: Path) -> Path:
    """Return the folder that holds an adapter's weights."""
    from harness.models.adapter_folder import find_candidate

    return find_candidate(path)
