"""Where the checkout's folders are."""

from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
GOLDEN = TESTS / "golden"
EXAMPLES = ROOT / "examples"
SHARED = ROOT.parent / "shared" / "data"
"""Real data beside the checkout; tests that use it skip where it is absent."""
