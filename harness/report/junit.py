"""``junit.xml``: one test case per check, for CI systems that show test results."""

import re
from xml.etree import ElementTree

from harness.analysis.several_candidates import candidates_of
from harness.display_text import visible
from harness.records import Comparison, Result
from harness.report.wording import check_sentence, prompts_told

LISTED_ITEMS = 20
"""How many lost items a failing check names; the report has them all."""

_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(result: Result) -> str:
    """Write the checks as JUnit XML: one suite per candidate, one case per check.

    A regression is a failure, an invalid comparison an error, an undecided one is skipped with
    the number of items that would decide it.
    """
    root = ElementTree.Element("testsuites", name=_legal(result.study))
    candidates = candidates_of(result.comparisons)
    for candidate in candidates:
        checks = [c for c in result.comparisons if c.candidate == candidate]
        counts = {
            verdict: str(sum(c.verdict == verdict for c in checks))
            for verdict in ("fail", "invalid", "inconclusive")
        }
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=_legal(candidate),
            tests=str(len(checks)),
            failures=counts["fail"],
            errors=counts["invalid"],
            skipped=counts["inconclusive"],
        )
        properties = ElementTree.SubElement(suite, "properties")
        said = {"base_model": result.base_model, "seed": str(result.seed)}
        if any(check.prompts_differ for check in checks):
            said["prompts"] = prompts_told(result)
        if result.reason:
            said["run"] = f"{result.verdict}: {result.reason}"
        for name, value in said.items():
            ElementTree.SubElement(properties, "property", name=name, value=_legal(value))
        for check in checks:
            _case(suite, check, result.study)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: ElementTree.Element, check: Comparison, study: str) -> None:
    name = f"{check.suite.name} ({check.suite.metric})"
    classname = f"{study}.{check.candidate}"
    case = ElementTree.SubElement(suite, "testcase", name=_legal(name), classname=_legal(classname))
    message = _legal(check_sentence(check))
    match check.verdict:
        case "fail":
            failure = ElementTree.SubElement(case, "failure", type="regression", message=message)
            failure.text = _legal(_lost_items(check))
        case "invalid":
            ElementTree.SubElement(case, "error", type="invalid", message=message)
        case "inconclusive":
            ElementTree.SubElement(case, "skipped", message=f"inconclusive: {message}")
        case _:
            ElementTree.SubElement(case, "system-out").text = message


def _lost_items(check: Comparison) -> str:
    lost = [pair.base.item for pair in check.shown if pair.transition == "lost"]
    count = check.counts.get("lost", 0)
    names = [f"doc {item.doc_id} ({item.key.doc_hash[:10]})" for item in lost[:LISTED_ITEMS]]
    more = count - len(names)
    if not count:  # grades that fell, a goal that was missed, or scores without answers
        return ""
    lines = [f"{count} items were right before and are wrong now:", *names]
    return "\n".join([*lines, f"and {more} more in report.html"] if more else lines)


def _legal(text: str) -> str:
    return _ILLEGAL.sub("\ufffd", visible(text))
