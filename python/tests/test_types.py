"""The stub of the extension module agrees with it. Whether the package agrees with itself is what ``python -m mypy`` tells."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")

PACKAGE = Path(__file__).parent.parent


def run(*arguments: str, folder: Path, **environment: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=folder, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_stub_is_what_the_extension_module_has(tmp_path: Path) -> None:
    # Beside an empty package: the types of all others are not needed for it.
    stubs = tmp_path / "array_format"
    stubs.mkdir()
    (stubs / "__init__.pyi").touch()
    shutil.copy(PACKAGE / "src/array_format/_core.pyi", stubs)
    run("mypy.stubtest", "array_format._core", folder=tmp_path, MYPYPATH=str(tmp_path))
