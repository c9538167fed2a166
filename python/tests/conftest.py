"""What the tests of the package share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where no file is yet."""
    return str(tmp_path / "run.af")
