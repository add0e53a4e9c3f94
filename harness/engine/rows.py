"""Where suites written before `harness.suites` find their rows; see `harness.suites.dataset`."""

from harness.suites.dataset import load

__all__ = ["load"]
