"""Code blocks of documentation: those that are run, those that are checked, and why not the others.

A page's blocks are one script in page order, in one folder: what has a title is written as that
file, ``bash`` and ``python`` are run, ``text`` right below them is what they print (``...`` stands
for anything). A block whose first line is a comment ``not run by the tests: REASON`` is only
checked. ``<!-- setup``, lines of bash and ``-->`` make what a reader has already, and a comment
``nightly`` leaves a page's script to the nightly tests.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from support.command import HARNESS, SAFETY_NET
from support.paths import ROOT

RUN = ("bash", "python")
"""Languages whose untitled blocks are run."""
REASON = re.compile(r"^\W*not run by the tests: (?P<why>\S.+)", re.ASCII)
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)(?P<info>[^\n]*)\n(?P<text>.*?)^(?P=indent)```$"
    r"|^<!-- setup\n(?P<setup>.*?)^-->$",
    re.MULTILINE | re.DOTALL,
)
SHARED_SETUP = """\
set -e
export HF_HUB_OFFLINE=1 COLUMNS=100 ROOT={root}
pip() {{ :; }}
tell() {{ case "$1:$2" in run:[14]|compare:[14]|gate:[14]) ;; *) return "$2" ;; esac; }}
harness() {{ {harness} "$@" || tell "$1" $?; }}
python() {{ {python} "$@"; }}
made_run() {{ PYTHONPATH="$ROOT/tests:$PYTHONPATH" python -c "
import sys, pathlib, support.finished_runs
support.finished_runs.write_run(pathlib.Path(sys.argv[1]), size=30)" "$1"; }}
"""
"""Exit codes 1 and 4 of a command that decides are verdicts, not failures of the page; ``made_run``
in a page's setup writes a small finished run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block, or a setup that readers do not see (``language`` is then ``setup``)."""

    page: Path
    line: int
    language: str
    title: str
    text: str
    follows: bool
    """Nothing but empty lines stands between the block before and this one."""

    @property
    def place(self) -> str:
        """Where it stands, for messages."""
        return f"{os.path.relpath(self.page, ROOT)}:{self.line}"

    @property
    def why_not(self) -> str:
        """The reason why it is not run; empty where there is none."""
        first = REASON.match(self.text)
        return first["why"] if first else ""

    @property
    def makes_an_environment(self) -> bool:
        """Whether it installs the harness anew, which `tests/project/test_install.py` does."""
        return "python3 -m venv" in self.text or self.text.startswith("uvx ")

    @property
    def is_run(self) -> bool:
        """Whether it takes part in its page's script."""
        if self.why_not or self.makes_an_environment:
            return False
        return bool(self.title) or self.language in (*RUN, "setup")


def blocks_of(page: Path) -> list[Block]:
    """Return a page's blocks in order."""
    text = page.read_text(encoding="utf-8")
    found, end = [], 0
    for match in FENCE.finditer(text):
        indent = match["indent"] or ""
        body = match["setup"] or match["text"] or ""
        title = re.search(r'title="([^"]+)"', match["info"] or "")
        found.append(
            Block(
                page=page,
                line=text.count("\n", 0, match.start()) + 1,
                language="setup" if match["setup"] else match["language"],
                title=title[1] if title else "",
                text="".join(line.removeprefix(indent) for line in body.splitlines(keepends=True)),
                follows=not text[end : match.start()].strip(),
            )
        )
        end = match.end()
    return found


def has_script(page: Path) -> bool:
    """Say whether a page has blocks that are run."""
    return any(block.is_run and block.language != "setup" for block in blocks_of(page))


def is_nightly(page: Path) -> bool:
    """Say whether a page's script takes too long for every test run."""
    return "<!-- nightly -->" in page.read_text(encoding="utf-8")


def run_page(page: Path, folder: Path) -> list[str]:
    """Run a page's script in a folder; return what is wrong: a failure, or another output.

    Blocks of one page share a process, so that variables stay.
    """
    blocks = [block for block in blocks_of(page) if block.is_run]
    harness, python = shlex.join(HARNESS), shlex.quote(sys.executable)
    script = SHARED_SETUP.format(root=shlex.quote(str(ROOT)), harness=harness, python=python)
    script += "".join(_step(block) for block in blocks)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SAFETY_NET,
        check=False,
        env={**os.environ, "HOME": str(folder)},
    )
    printed = {}
    for part in done.stdout.split("\n@@ ")[1:]:
        place, _, said = part.partition("\n")
        printed[place] = said
    if done.returncode:
        place, said = list(printed.items())[-1]
        return [f"{place} ends with {done.returncode}: {said[-1500:]}"]
    return list(_other_outputs(page, printed))


def _step(block: Block) -> str:
    begin = f"printf '\\n@@ %s\\n' {shlex.quote(block.place)}\n"
    if block.title:
        parent = shlex.quote(str(Path(block.title).parent))
        target = shlex.quote(block.title)
        return (
            f"{begin}mkdir -p {parent}\ncat > {target} <<'END OF FILE'\n{block.text}END OF FILE\n"
        )
    if block.language == "python":
        return f"{begin}python - <<'END OF CODE'\n{block.text}END OF CODE\n"
    return begin + block.text


def _other_outputs(page: Path, printed: Mapping[str, str]) -> Iterator[str]:
    before: Block | None = None
    for block in blocks_of(page):
        if block.language == "text" and block.follows and before and before.is_run:
            parts = [re.escape(" ".join(part.split())) for part in block.text.split("...")]
            said = " ".join(printed[before.place].split())
            if not re.search(r"\s?.*?\s?".join(parts), said):
                yield f"{block.place} is not what is printed: {printed[before.place][-1500:]}"
        before = block
