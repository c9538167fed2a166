"""Type hints: the stub of the extension module agrees with it, and the package with itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent

CHECKS = {"stub": ["mypy.stubtest", "array_format._core"], "package": ["mypy"]}


@pytest.mark.parametrize("check", CHECKS)
def test_types_agree(check: str, tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    cache = {"MYPY_CACHE_DIR": str(tmp_path)} if check == "stub" else {}
    done = subprocess.run(
        [sys.executable, "-m", *CHECKS[check]],
        cwd=PACKAGE,
        env={"PYTHONPATH": "src", **cache},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
