"""Refuse a study whose packages are not installed, before any row is read or anything trained."""

from harness.extras import require
from harness.study import VLLM, Query, Study
from harness.suites.catalogue import builtin_suites


def check_installed(study: Study) -> None:
    """Require the extras that training, answering and judging this study take.

    Raises:
        MissingExtraError: If packages are missing; all of them are named at once.
        HarnessError: If vLLM is asked for what it cannot do.
    """
    candidates = study.candidates
    judges = {name: suite.judge for name, suite in builtin_suites().items()}
    needed = {
        "engine": True,
        "train": any(candidate.train for candidate in candidates),
        "sql": any(judges.get(section.name) == "sql" for section in study.suites),
        "databases": any(
            isinstance(source, Query) for c in candidates for source in (c.train, c.validation)
        )
        or any("://" in (section.databases or "") for section in study.suites),
        "vllm": study.base.backend == VLLM,
        "languages": bool(study.data.languages),
        "sweep": any("trials" in (candidate.sweep or {}) for candidate in candidates),
    }
    require(*(extra for extra, is_needed in needed.items() if is_needed))
    if study.base.backend == VLLM:
        from harness.engine.runtimes.vllm_engine import check_vllm

        check_vllm(study)
