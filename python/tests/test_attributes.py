"""Attributes come back as what they were, and are a dictionary."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import array_format as af

VALUES = [
    True,
    False,
    0,
    -(2**63),
    2**63 - 1,
    1.5,
    math.inf,
    1 + 2j,
    "",
    "text \u00e9\0",
    b"",
    b"\0\xff",
    np.float32(1.5),
    np.float16(1.5),
    np.int8(-3),
    np.uint64(2**64 - 1),
    np.complex64(1j),
    np.datetime64("2020-01-01T00:00:00.123456789"),
    np.timedelta64(5, "ms"),
    np.array([1, 2], "u2"),
    np.array([], "f4"),
    np.array([True, False]),
    np.array(["2020-01-01", "NaT"], "M8[s]"),
    ["a", ""],
    [b"a", b"\0"],
    None,
    {},
    {"a": [1, None, {"b": "c"}]},
    [1, "a"],
    [1, 2.5],
    [[1, 2], [3]],
    [None],
    2**70,
]


@pytest.mark.parametrize("value", VALUES, ids=lambda v: repr(v)[:40])
def test_values_come_back(value: Any) -> None:
    url = "memory://attributes/values.af"
    with af.open(url, "w") as file:
        file.create_array("a", [1])
        file.create_group("g")
        for node in (file, file["a"], file["g"]):
            node.attrs["x"] = value
    file = af.open(url)
    for node in (file, file["a"], file["g"]):
        for found in (node.attrs["x"], dict(node.attrs)["x"]):
            assert type(found) is type(value)
            if isinstance(value, np.ndarray | np.generic):
                assert found.dtype == value.dtype
            assert np.array_equal(found, value, equal_nan=True) if isinstance(value, np.ndarray) else found == value


OTHERS = [
    (np.True_, True),
    (np.str_("x"), "x"),
    (np.bytes_(b"x"), b"x"),
    (bytearray(b"x"), b"x"),
    (np.array(5), 5),
    (np.array(["a", "b"]), ["a", "b"]),
    (np.array(["a"], np.dtypes.StringDType()), ["a"]),
    (np.array(["a", None], object), ["a", None]),
    (("a", "b"), ["a", "b"]),
    (np.datetime64("2020-01-01"), np.datetime64("2020-01-01", "s")),
    (np.float64(1.5), 1.5),
    (np.int64(3), 3),
    ({"x": np.float32(1.5)}, {"x": 1.5}),
]


@pytest.mark.parametrize(("value", "expected"), OTHERS, ids=repr)
def test_values_that_are_others_to_the_file(value: Any, expected: Any) -> None:
    file = af.open("memory://attributes/others.af", "w")
    file.attrs["x"] = value
    assert file.attrs["x"] == expected and type(file.attrs["x"]) is type(expected)
    file.discard()


@pytest.mark.parametrize("value", [[1, 2], (1.5, 2.5), np.array([1, 2], ">i4"), [np.float32(1)], []], ids=repr)
def test_lists_of_numbers_are_arrays(value: Any) -> None:
    file = af.open("memory://attributes/lists.af", "w")
    file.attrs["x"] = value
    found = file.attrs["x"]
    assert isinstance(found, np.ndarray) and found.tolist() == np.asarray(value).tolist()
    file.discard()


def test_they_are_a_dictionary() -> None:
    file = af.open("memory://attributes/mapping.af", "w")
    attrs = file.attrs
    assert len(attrs) == 0 and dict(attrs) == {} and "x" not in attrs and 5 not in attrs and "" not in attrs
    attrs.update(a=1, b=None, c="x")
    assert set(attrs) == {"a", "b", "c"} and len(attrs) == 3 and attrs == {"a": 1, "b": None, "c": "x"}
    attrs["a"], attrs["b"] = {"now": "json"}, "no json any more"
    assert dict(attrs) == {"a": {"now": "json"}, "b": "no json any more", "c": "x"}
    assert attrs.pop("a") == {"now": "json"} and attrs.setdefault("b", 7) == "no json any more"
    assert sorted(attrs.items()) == [("b", "no json any more"), ("c", "x")] and "x" in attrs.values()
    del attrs["b"]
    with pytest.raises(KeyError):
        del attrs["b"]
    with pytest.raises(KeyError):
        attrs[5]
    attrs.clear()
    assert dict(attrs) == {} and repr(attrs) == "Attributes({})"
    file.discard()


def test_the_packages_own_are_not_seen() -> None:
    file = af.open("memory://attributes/hidden.af", "w")
    array = file.create_array("a", np.zeros(2, "M8[D]"), attrs={"x": None})
    assert dict(array.attrs) == {"x": None} and "array_format.dtype" not in array.attrs
    with pytest.raises(KeyError):
        array.attrs["array_format.dtype"]
    with pytest.raises(KeyError):
        del array.attrs["array_format.dtype"]
    array.attrs.clear()
    assert file["a"].dtype == "M8[D]"
    file["a"] = np.zeros(3, "i4")
    assert file["a"].dtype == "i4"
    file.discard()


def test_replacing_an_array_keeps_its_attributes() -> None:
    file = af.open("memory://attributes/replaced.af", "w")
    file.create_array("a", [1, 2], dims=("x",), attrs={"units": "m", "d": {}})
    file["a"] = [1.5, 2.5, 3.5]
    assert dict(file["a"].attrs) == {"units": "m", "d": {}} and file["a"].dims == ("x",) and file["a"].dtype == "f8"
    file["a"] = np.zeros((2, 2))
    assert file["a"].dims == ()
    file.create_array("a", [1], overwrite=True)
    assert dict(file["a"].attrs) == {}
    file.discard()


def test_integers_that_no_type_holds_together_stay_what_they_are(path):
    with af.open(path, "w") as file:
        file.attrs["wide"] = [-1, 2**63]
        assert file.attrs["wide"] == [-1, 2**63]


def test_what_the_package_keeps_for_itself_is_not_listed(path):
    with af.open(path, "w") as file:
        file["array_format.zarr/key"] = b"kept"
        file["shown"] = [1]
        assert list(file) == ["shown"]
        assert list(file.arrays(recursive=True)) == ["shown"]
