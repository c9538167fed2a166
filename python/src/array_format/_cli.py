"""The command ``af``, which is the one of the Rust library."""

from __future__ import annotations

import signal
import sys

from . import _core


def main() -> None:
    """Runs ``af`` with the arguments of this process and exits as it does."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # the interpreter would notice an interrupt only after the work
    sys.exit(_core.run_cli(sys.argv))
