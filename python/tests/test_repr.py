"""What is shown at a prompt and in a notebook: true, safe and quick, also for large files."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np

import array_format as af


class Balance(HTMLParser):
    """Counts tags that are open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_arrays() -> None:
    file = af.open("memory://repr/arrays.af", "w")
    array = file.create_array("g/a", np.zeros((2, 3), "f4"), dims=("y", "x"), chunks=(1, 3), filters=["shuffle"], codec="zstd")
    assert repr(array) == "<array_format.Array 'g/a' float32 (y: 2, x: 3)>"
    text = array._repr_html_()
    for part in ("g/a", "float32", "(y: 2, x: 3)", "(1, 3)", "shuffle + zstd", "24 B"):
        assert part in text
    assert repr(file.create_array("s", ["a"])) == "<array_format.Array 's' string (1,)>"
    assert repr(file.create_array("d", np.zeros(2, "M8[D]"))) == "<array_format.Array 'd' datetime64[D] (2,)>"
    assert repr(file.create_array("h", np.zeros((2, 2)), dims=("y", None))) == "<array_format.Array 'h' float64 (y: 2, 2)>"
    file.discard()


def test_groups_and_files() -> None:
    file = af.open("memory://repr/files.af", "w")
    for name in ("a", "long name", "g/b", "g/h/c"):
        file[name] = [1]
    file.attrs["title"] = "x"
    first, *lines = repr(file).splitlines()
    assert "version 0, mode 'w'" in first and "changes pending" in first
    assert lines == ["  a          int64 (1,)", "  g          group", "  long name  int64 (1,)"]
    file.commit()
    assert "version 1" in repr(file) and "4 arrays" in repr(file) and "pending" not in repr(file)
    assert repr(file["g"]).splitlines()[1:] == ["  b  int64 (1,)", "  h  group"]
    assert "title" in file._repr_html_() and "long name" in file._repr_html_()
    assert repr(file.attrs) == "Attributes({'title': 'x'})"


def test_only_some_of_many_are_shown() -> None:
    file = af.open("memory://repr/many.af", "w")
    for i in range(50):
        file[f"a{i:02}"] = i
    assert repr(file).splitlines()[-1] == "  ... 30 more" and "30 more" in file._repr_html_()
    for i in range(30):
        file.attrs[f"k{i}"] = "v" * 1000
    text = file._repr_html_()
    assert "10 more" in text and len(text) < 20_000
    file.discard()


def test_names_and_values_cannot_be_markup() -> None:
    file = af.open("memory://repr/markup.af", "w")
    evil = "<script>alert('1')</script>"
    array = file.create_array(evil.replace("/", "|"), [evil], dims=("<b>",), fill_value=evil, attrs={evil: evil})
    file.attrs[evil] = [evil, {evil: evil}]
    file.create_group("<i>")
    for thing in (file, array, file["<i>"], file.table(evil), file.statistics_table()):
        text = thing._repr_html_()
        assert "<script" not in text and "<i>" not in text and "<b>'" not in text
        assert Balance(text).open == []
    file.discard()


def test_a_file_of_20000_arrays_is_shown_from_little(path: str) -> None:
    with af.open(path, "w") as file:
        definition = file.create_array("one", shape=3, dtype="f4")._definition()
        for i in range(19_999):
            file._handle.define(f"profiles/{i:05}", definition, False)
    file = af.open(path)
    before = file.counters["bytes"]
    assert "20000 arrays" in repr(file) and len(repr(file)) < 1000 and len(file._repr_html_()) < 1000
    assert len(repr(file["profiles"])) < 1000 and len(file["profiles"]._repr_html_()) < 1000
    assert file.counters["bytes"] - before < 100_000
    assert len(file["profiles"]) == 19_999


def test_tables() -> None:
    file = af.open("memory://repr/tables.af", "w")
    for i in range(30):
        file.create_array(f"a{i:02}", [i], attrs={"units": "<m>"} if i else {})
    table = file.table("units")
    assert repr(table).startswith("<array_format.Table: 30 rows>") and "[--, <m>, <m>, <m>, ...]" in repr(table)
    text = table._repr_html_()
    assert "10 more rows" in text and "&lt;m&gt;" in text and "<td>--</td>" in text and Balance(text).open == []
    file.discard()
