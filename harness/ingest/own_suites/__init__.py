"""Begin a suite from a file of one's own: its rows by kind, and the files of its folder."""

from harness.ingest.own_suites.begin_suite import BegunSuite, begin_suite
from harness.ingest.own_suites.row_kinds import ROW_KINDS

__all__ = ["ROW_KINDS", "BegunSuite", "begin_suite"]
