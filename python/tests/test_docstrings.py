"""Everything public is documented, as numpydoc has it, and what the documentation shows runs."""

from __future__ import annotations

import dataclasses
import doctest
import inspect
import itertools
from collections.abc import Iterator
from typing import Any

import pytest

import array_format as af
from array_format import _array, _attributes, _cache, _columns, _dtypes, _file, _group, _indexing, errors


def public() -> Iterator[tuple[str, Any]]:
    for name in af.__all__:
        thing = getattr(af, name)
        if inspect.isclass(thing) or inspect.isroutine(thing):
            yield name, thing
        if inspect.isclass(thing):
            for attribute, value in vars(thing).items():
                if not attribute.startswith("_") and (inspect.isroutine(value) or isinstance(value, property | classmethod)):
                    yield f"{name}.{attribute}", value


PUBLIC = dict(public())


@pytest.mark.parametrize("name", PUBLIC)
def test_it_has_a_docstring(name: str) -> None:
    text = inspect.getdoc(PUBLIC[name])
    assert text, name
    first = text.partition("\n\n")[0]
    assert first.endswith((".", ":")) and first[0].isupper() or first.startswith("`"), first
    sections = [a for a, b in zip(text.splitlines(), text.splitlines()[1:], strict=False) if b and set(b) == {"-"} and a]
    known = ["Parameters", "Returns", "Yields", "Attributes", "Raises", "Notes", "Examples"]
    assert sections == [s for s in known if s in sections], sections


def documented(text: str, section: str) -> set[str]:
    lines, found, inside = [*text.splitlines(), ""], set(), False
    for line, after in itertools.pairwise(lines):
        if after and set(after) == {"-"}:
            inside = line == section
        elif inside and line and not line.startswith((" ", "-")):
            found |= {n.strip() for n in line.partition(" :")[0].split(",")}
    return found


@pytest.mark.parametrize("name", PUBLIC)
def test_what_it_documents_is_there(name: str) -> None:
    thing = PUBLIC[name]
    text = inspect.getdoc(thing) or ""
    if inspect.isclass(thing):
        attributes = documented(text, "Attributes")
        if dataclasses.is_dataclass(thing) and attributes:
            assert attributes == {f.name for f in dataclasses.fields(thing)}
        return
    if isinstance(thing, property):
        assert thing.fget.__annotations__.get("return")
        return
    function = thing.__func__ if isinstance(thing, classmethod) else thing
    parameters = set(inspect.signature(function).parameters) - {"self", "cls"}
    named = documented(text, "Parameters")
    assert not named or named == parameters, (named, parameters)
    missing = [p for p in parameters if p not in function.__annotations__]
    assert not missing and "return" in function.__annotations__, missing


@pytest.mark.parametrize("module", [af, _array, _attributes, _cache, _columns, _dtypes, _file, _group, _indexing, errors])
def test_examples_run(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


def test_the_version_is_one() -> None:
    assert af.__version__.count(".") == 2 and all(hasattr(af, name) for name in af.__all__) and af.__all__ == sorted(af.__all__)
