"""``python -m harness``: the same as ``harness``, for launchers such as ``accelerate launch``."""

from harness.cli import main

main()
