"""Writes the suites' data: ``python -m harness.quickstart.suite_items TASKS_DIR``.

The committed files equal what this writes; a test compares them.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from harness.files import write_text
from harness.quickstart.conversations import coherence_items
from harness.quickstart.databases import scripts
from harness.quickstart.handbook import documents, domain_items
from harness.quickstart.science_facts import arc_items
from harness.quickstart.sql_items import sql_items

SEEDS = {"validation": 101, "test": 202}
_SQL = {
    "validation": {
        "unseen_literal": 80,
        "literal_free": 50,
        "new_phrasing": 52,
        "multi_token_literal": 48,
    },
    "test": {
        "unseen_literal": 120,
        "literal_free": 80,
        "new_phrasing": 78,
        "multi_token_literal": 62,
    },
}
_COHERENCE = {
    "validation": {"unseen_value": 90, "new_phrasing": 45, "multi_token_value": 40},
    "test": {"unseen_value": 150, "new_phrasing": 75, "multi_token_value": 60},
}
Rows = list[dict[str, object]]


def suite_rows(split: str) -> dict[str, Rows]:
    """Return ``{suite: rows}`` of ``validation`` or ``test``."""
    seed = SEEDS[split]
    return {
        "arc_mini": arc_items(split=split, seed=seed),
        "domain_qa": [*domain_items(split=split), *domain_items(split=split, trained=False)],
        "sql": sql_items(split=split, seed=seed, counts=_SQL[split]),
        "coherence": coherence_items(split=split, seed=seed, counts=_COHERENCE[split]),
    }


def suite_files() -> dict[str, str]:
    """Return ``{path under tasks/: text}`` of every file that is generated."""
    files: dict[str, str] = {}
    for split in SEEDS:
        for suite, rows in suite_rows(split).items():
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            files[f"{suite}/data/{split}.jsonl"] = text
    files |= {f"domain_qa/documents/{k}.md": text for k, text in documents().items()}
    return files | {f"sql/databases/{k}.sql": text for k, text in scripts().items()}


def main(argv: list[str] | None = None) -> None:
    """Write every file under the folder that the command line names."""
    parser = argparse.ArgumentParser(description="write the suites' generated data")
    parser.add_argument("tasks", type=Path)
    root = parser.parse_args(argv).tasks
    for name, text in suite_files().items():
        write_text(root / name, text)
    sys.stdout.write(f"{len(suite_files())} files are in {root}\n")


if __name__ == "__main__":
    main()
