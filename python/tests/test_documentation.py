"""What the documentation shows runs as it stands."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import matplotlib
import pytest

import array_format

ROOT = Path(__file__).parents[2]


def blocks(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    matplotlib.use("Agg")
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_readme_makes_its_picture(folder):
    (block,) = blocks("README.md")
    exec(block, {})
    assert (folder / "sst.png").stat().st_size > 10_000
    assert len([line for line in block.splitlines() if line.strip()]) <= 11


def test_readme_of_the_package(folder):
    (block,) = blocks("python/README.md")
    exec(block, {})


def test_tour(folder):
    tour = blocks("docs/python.md")[0]
    names: dict = {}
    exec(tour, names)
    array = names["file"]["cruise/temperature"]
    assert array.shape == (4,)
    assert names["file"].verify().is_clean


def test_examples_in_docstrings():
    found = doctest.testmod(array_format)
    assert found.attempted > 4
    assert found.failed == 0
