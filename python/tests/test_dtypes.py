"""Every type, shape and order of numpy comes back as it was, before and after the commit."""

from __future__ import annotations

import datetime
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import array_format as af

NUMBERS = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16", ml_dtypes.bfloat16]
UNITS = ["Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as"]


def assert_same(found: Any, given: np.ndarray) -> None:
    """The same values, shape and type; the order of bytes may be the machine's."""
    assert found.shape == given.shape
    assert found.dtype == given.dtype or found.dtype == given.dtype.newbyteorder("<")
    assert type(found) is type(given)
    assert np.array_equal(found, given, equal_nan=given.dtype.kind in "fcMm")


def assert_round_trip(path: str, given: np.ndarray) -> None:
    with af.open(path, "w") as file:
        file.create_array("a", given)
        assert_same(file["a"][...], given)
    with af.open(path) as file:
        assert_same(file["a"][...], given)
        assert repr(file["a"]) and file["a"]._repr_html_()
        assert file["a"].stats.size == given.size


@pytest.fixture
def memory(request: pytest.FixtureRequest) -> str:
    """A URL in memory of the test's own."""
    return f"memory://dtypes/{abs(hash(request.node.nodeid))}.af"


def orders(values: np.ndarray) -> dict[str, np.ndarray]:
    """One array of [6, 7], in every order that numpy has."""
    return {
        "c": values,
        "fortran": np.asfortranarray(values),
        "transposed": values.T,
        "strided": values[::2, 1::3],
        "negative": values[::-1, ::-2],
        "broadcast": np.broadcast_to(values[0], (3, 7)),
        "no rows": values[:0],
        "no columns": values[:, :0],
        "0-d": values[0, :1].reshape(()),
        "swapped": values.astype(values.dtype.newbyteorder(">")) if values.dtype.name != "bfloat16" else values,
        "read-only": np.frombuffer(values.tobytes(), values.dtype).reshape(6, 7),
    }


@pytest.mark.parametrize("order", orders(np.zeros((6, 7))))
@pytest.mark.parametrize("dtype", NUMBERS, ids=lambda d: np.dtype(d).name)
def test_numbers_of_every_type_and_order(memory: str, dtype: Any, order: str) -> None:
    values = np.random.default_rng(1).integers(0, 2 if dtype == "?" else 100, (6, 7)).astype(dtype)
    assert_round_trip(memory, orders(values)[order])


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ml_dtypes.bfloat16, "c8", "c16"], ids=lambda d: np.dtype(d).name)
def test_floats_keep_their_bits(memory: str, dtype: Any) -> None:
    with np.errstate(over="ignore"):
        special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, -np.nan, 1e-45, 5e-324, 1e38]).astype(dtype)
    with af.open(memory, "w") as file:
        file["a"] = special
    assert af.open(memory)["a"][...].tobytes() == special.tobytes()


@pytest.mark.parametrize("dtype", ["i1", "i8", "u8", "u2"])
def test_integers_at_their_bounds(memory: str, dtype: str) -> None:
    bounds = np.iinfo(dtype)
    assert_round_trip(memory, np.array([bounds.min, 0, bounds.max], dtype))


@pytest.mark.parametrize("count", ["", "25"])
@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("kind", "Mm")
def test_times_of_every_unit(memory: str, kind: str, unit: str, count: str) -> None:
    dtype = np.dtype(f"{kind}8[{count}{unit}]")
    values = np.array([0, 1, -1, 5, np.iinfo("i8").min], "i8").view(dtype)
    for given in (values, values.astype(dtype.newbyteorder(">")), values[1], values[::-2], values[:0]):
        assert_round_trip(memory, np.asarray(given))


def test_times_without_a_unit(memory: str) -> None:
    assert_round_trip(memory, np.array(["NaT"], "M8"))
    assert_round_trip(memory, np.array([1, 2], "i8").view("m8"))


def test_times_that_were_not_written_are_not_1970(memory: str) -> None:
    file = af.open(memory, "w")
    for dtype in ("M8[ns]", "m8[s]", "M8[D]", "M8[M]", "M8[25us]", "M8"):
        array = file.create_array("a", shape=3, dtype=dtype, overwrite=True)
        assert np.isnat(array[...]).all() and np.isnat(array.fill_value)
    file.discard()


TEXTS = ["a", "", "\u00e9\0x", "ab" * 100, "\U0001f30a"]


@pytest.mark.parametrize(
    "given",
    [
        np.array(TEXTS, np.dtypes.StringDType()),
        np.array([TEXTS, TEXTS[::-1]], np.dtypes.StringDType()).T,
        np.array("x", np.dtypes.StringDType()),
        np.empty((0, 3), np.dtypes.StringDType()),
        np.array(TEXTS),
        np.array(TEXTS).astype(np.dtype("U200").newbyteorder(">")),
        np.array("abc"),
        np.empty(0, "U4"),
        np.array(["", ""], "U7"),
        np.array([b"a", b"bcd", b"", b"a\0b"]),
        np.array([b"a\0\0", b"b"], "S5"),
        np.array(b"abc"),
        np.empty((2, 0), "S4"),
        np.array([b"a\xff\0", b"", b"b"], "V3"),
    ],
    ids=lambda a: f"{a.dtype}{a.shape}",
)
def test_texts_and_bytes(memory: str, given: np.ndarray) -> None:
    assert_round_trip(memory, given)


@pytest.mark.parametrize("given", [[["a", "bb"], ["", "x"]], [[b"a", b"b\0"], [b"", b"x"]]], ids=["texts", "bytes"])
def test_objects_that_are_texts_or_bytes(memory: str, given: list) -> None:
    objects = np.array(given, object)
    with af.open(memory, "w") as file:
        file["a"] = objects.T
    found = af.open(memory)["a"]
    assert found.element_type == ("string" if isinstance(given[0][0], str) else "binary")
    assert np.array_equal(found[...], objects.T) and found[1, 0] == objects[0, 1]


@pytest.mark.parametrize("missing", [None, np.nan], ids=["None", "NaN"])
def test_strings_that_can_be_missing_are_masked(memory: str, missing: Any) -> None:
    with af.open(memory, "w") as file:
        file["a"] = np.array(["a", missing, "b"], np.dtypes.StringDType(na_object=missing))
        file["b"] = np.array(["a", missing, "b"], object)
    for name in "ab":
        array = af.open(memory)[name]
        assert array.nullable and array[...].mask.tolist() == [False, True, False]
        assert array[...].compressed().tolist() == ["a", "b"]
        assert array[1] is np.ma.masked and array[0] == "a"


def test_strings_whose_missing_value_is_a_text_are_texts(memory: str) -> None:
    file = af.open(memory, "w")
    array = file.create_array("a", np.array(["a", "NA"], np.dtypes.StringDType(na_object="NA")))
    assert not array.nullable and array[...].tolist() == ["a", "NA"]
    file.discard()


def lists(*items: Any) -> np.ndarray:
    array = np.empty(len(items), object)
    array[:] = items
    return array


@pytest.mark.parametrize("dtype", ["f8", "i2", "?", "M8[s]", "c16"])
def test_lists_of_varying_length(memory: str, dtype: str) -> None:
    given = lists(np.array([1, 0], "i8").astype(dtype), np.empty(0, dtype), np.array([1], "i8").astype(dtype))
    with af.open(memory, "w") as file:
        file["a"] = given
    found = af.open(memory)["a"]
    for one, other in zip(found[...], given, strict=True):
        assert one.dtype == other.dtype and np.array_equal(one, other)
    assert np.array_equal(found[0], given[0]) and np.array_equal(found.vindex[[2, 0]][0], given[2])


def test_lists_of_one_length_can_be_given_as_a_matrix(memory: str) -> None:
    file = af.open(memory, "w")
    array = file.create_array("a", [[1, 2], [3, 4]], dtype="list<i64>")
    assert array.shape == (2,) and array[1].tolist() == [3, 4]
    array[0] = [7]
    array[1:] = lists(np.array([8, 9]))
    assert array[0].tolist() == [7] and array[1].tolist() == [8, 9]
    file.discard()


def test_lists_of_fixed_length_are_an_axis_of_the_result(memory: str) -> None:
    values = np.arange(24, dtype="f4").reshape(2, 4, 3)
    with af.open(memory, "w") as file:
        array = file.create_array("a", values, dtype="list<f32; 3>", dims=("y", "x"))
        assert array.shape == (2, 4) and array.dtype == "f4" and array.ndim == 2
    array = af.open(memory)["a"]
    assert np.array_equal(array[...], values)
    assert np.array_equal(array[1, ::-2], values[1, ::-2])
    assert np.array_equal(array.oindex[[1, 0], 1:3], values[[1, 0], 1:3])
    assert np.array_equal(array.vindex[[1, 0], [3, 2]], values[[1, 0], [3, 2]])


STRUCTURES = {
    "plain": np.array([(1, 2.5, b"ab"), (3, 4.5, b"c")], [("a", "<i4"), ("b", ">f8"), ("c", "S3")]),
    "padded": np.array([(1, 2.5), (3, 4.5)], np.dtype([("a", "i1"), ("b", "f8")], align=True)),
    "nested": np.zeros(2, [("a", "i1", (2, 2)), ("b", [("x", "f8"), ("t", "M8[D]")])]),
    "texts": np.array([("a", "bcd")], [("x", "U4"), ("y", "U4")]),
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_structures(memory: str, name: str) -> None:
    values = STRUCTURES[name]
    for given in (values, np.stack([values, values])[:, ::-1], values[:0], values[:1].reshape(())):
        assert_round_trip(memory, given)


def test_structures_are_assigned_as_tuples(memory: str) -> None:
    file = af.open(memory, "w")
    array = file.create_array("a", [(1, 2.5), (3, 4.5)], dtype=[("n", "i4"), ("x", "f8")], fill_value=(7, 8.5))
    assert array.shape == (2,) and array[1]["x"] == 4.5 and array.fill_value["n"] == 7
    array[0] = (5, 6.5)
    array.resize(3)
    assert array[...].tolist() == [(5, 6.5), (3, 4.5), (7, 8.5)]
    file.discard()


MASKED = ["f8", "?", "i4", "M8[D]", "m8[25us]", "c8", "U3", "S3", ml_dtypes.bfloat16]


@pytest.mark.parametrize("dtype", MASKED, ids=lambda d: np.dtype(d).name)
def test_masked_arrays(memory: str, dtype: Any) -> None:
    values = np.arange(6).reshape(2, 3).astype("i8").astype(dtype)
    given = np.ma.MaskedArray(values, [[False, True, False], [True, False, False]])
    with af.open(memory, "w") as file:
        file["a"] = given
    array = af.open(memory)["a"]
    found = array[...]
    assert array.nullable and found.dtype == given.dtype
    assert np.array_equal(np.ma.getmaskarray(found), given.mask)
    assert np.array_equal(found.compressed(), given.compressed())
    assert array[0, 1] is np.ma.masked and array[0, 2] == values[0, 2]
    assert np.array_equal(array.oindex[[1, 0], ::2].mask, given[[1, 0], ::2].mask)
    assert array.vindex[[1], [0]].mask.tolist() == [True]


def test_masked_structures_are_null_as_a_whole(memory: str) -> None:
    values = STRUCTURES["plain"]
    file = af.open(memory, "w")
    array = file.create_array("a", np.ma.MaskedArray(values, mask=[True, False]))
    assert array[0] is np.ma.masked and array[...][1].tolist() == values[1].tolist()
    with pytest.raises(af.InvalidArgumentError, match="part of an element .*array 'a'"):
        array[...] = np.ma.MaskedArray(values, mask=[(True, False, False), (False, False, False)])
    file.discard()


def test_masked_lists_of_fixed_length(memory: str) -> None:
    file = af.open(memory, "w")
    values = np.arange(6.0).reshape(2, 3)
    array = file.create_array("a", np.ma.MaskedArray(values, [[True] * 3, [False] * 3]), dtype="list<f64; 3>")
    assert array.shape == (2,) and array[...].mask.tolist() == [[True] * 3, [False] * 3]
    with pytest.raises(af.InvalidArgumentError, match="part of an element"):
        array[...] = np.ma.MaskedArray(values, [[True, False, False], [False] * 3])
    file.discard()


def test_nulls_are_assigned_by_masked_and_by_none(memory: str) -> None:
    file = af.open(memory, "w")
    values = {"i4": 1, "f4": 1.5, "M8[ns]": np.datetime64("2020"), "string": "a", "U3": "a", "binary": b"a", "list<f8>": [1.5]}
    for dtype, value in values.items():
        array = file.create_array("a", shape=4, dtype=dtype.replace("f8", "f64"), nullable=True, overwrite=True)
        assert array.fill_value is None and array[...].mask.all()
        for i in range(4):
            array[i] = value
        assert not array[...].mask.any()
        array[1] = np.ma.masked
        array[2] = None
        array[3:] = [None]
        assert array[...].mask.tolist() == [False, True, True, True] and np.array_equal(array[0], value)
    array = file.create_array("b", [(1, 2.0)] * 3, dtype=[("n", "i4"), ("x", "f8")], nullable=True)
    array[0], array[1] = None, np.ma.masked
    assert [array[i] is np.ma.masked for i in range(3)] == [True, True, False]
    file.discard()


def test_nulls_are_refused_where_none_can_be(memory: str) -> None:
    file = af.open(memory, "w")
    file["a"] = [1, 2]
    file["s"] = ["a", "b"]
    for name in "as":
        with pytest.raises(af.InvalidArgumentError, match="nullable=True"):
            file[name][0] = np.ma.masked
    with pytest.raises(af.InvalidArgumentError):
        file["a"][0] = None
    with pytest.raises(af.InvalidArgumentError):
        file["s"][0] = None
    file.discard()


def test_what_is_masked_need_not_fit(memory: str) -> None:
    file = af.open(memory, "w")
    array = file.create_array("a", shape=2, dtype="i1", nullable=True)
    array[...] = np.ma.MaskedArray([1e30, 5.0], [True, False])
    assert array[...].tolist() == [None, 5]
    file.discard()


CHANGED = [
    ("i1", 300),
    ("i1", np.array([300])),
    ("u1", -1),
    ("i4", 1.5),
    ("i4", [1, 2.5]),
    ("i4", np.array([1.5], object)),
    ("i4", np.nan),
    ("i4", "5"),
    ("f4", "5"),
    ("f4", 1j),
    ("?", 2),
    ("M8[D]", np.datetime64("2020-01-01T05")),
    ("M8[ns]", np.datetime64("9999-01-01")),
    ("U3", "abcd"),
    ("S3", b"abcd"),
    ("U3", 5),
    ("string", 5),
    ("string", b"x"),
    ("binary", "x"),
    ("list<i64>", [[1.5]]),
]


@pytest.mark.parametrize(("dtype", "value"), CHANGED, ids=lambda x: repr(x)[:30])
def test_values_that_would_change_are_refused(memory: str, dtype: str, value: Any) -> None:
    file = af.open(memory, "w")
    array = file.create_array("a", shape=1, dtype=dtype)
    with pytest.raises(af.InvalidArgumentError, match=r"\ba\b"):
        array[...] = value
    with pytest.raises(af.InvalidArgumentError):
        file.create_array("b", value if isinstance(value, np.ndarray | list) else [value], dtype=dtype)
    assert "b" not in file
    file.discard()


SAME = [
    ("i1", 100),
    ("i4", 5.0),
    ("f4", 1),
    ("f4", 1.1),
    ("f8", 2**53),
    (ml_dtypes.bfloat16, 1.5),
    (ml_dtypes.bfloat16, 3),
    ("f4", np.array([1.5], ml_dtypes.bfloat16)),
    ("c8", 2),
    ("?", 1),
    ("M8[D]", np.datetime64("2020-01-01T00:00:00.000", "ns")),
    ("M8[D]", ["2020-01-01"]),
    ("M8[ns]", np.datetime64("NaT")),
    ("U3", np.str_("abc")),
    ("f4", np.array([None, 1.5], object)[1:]),
]


@pytest.mark.parametrize(("dtype", "value"), SAME, ids=lambda x: repr(x)[:30])
def test_values_of_other_types_that_are_the_same(memory: str, dtype: Any, value: Any) -> None:
    file = af.open(memory, "w")
    array = file.create_array("a", shape=1, dtype=dtype)
    array[...] = value
    expected = np.empty(1, dtype)
    expected[...] = value
    assert np.array_equal(array[...], expected, equal_nan=array.dtype.kind in "fcM")
    file.discard()


FILLS = [("i4", -7), ("f4", np.nan), ("f4", 1.1), ("?", True), ("M8[D]", "2020-02-03"), ("M8[ns]", np.datetime64("2020-01-01"))]
FILLS += [("string", "none"), ("binary", b"x\0"), ("U5", "none"), ("S5", b"none"), ("c16", 1 + 2j), (ml_dtypes.bfloat16, 1.5)]


@pytest.mark.parametrize(("dtype", "fill"), FILLS, ids=lambda x: repr(x)[:30])
def test_fill_values(memory: str, dtype: Any, fill: Any) -> None:
    with af.open(memory, "w") as file:
        file.create_array("a", shape=(2, 2), dtype=dtype, fill_value=fill)
    array = af.open(memory)["a"]
    expected = np.array(fill, array.dtype)
    for found in (array.fill_value, array[1, 1]):
        assert np.array_equal(np.asarray(found, array.dtype), expected, equal_nan=array.dtype.kind in "fc")
    assert np.asarray(array[...]).shape == (2, 2) and array._repr_html_()


NO_FILLS = [("i1", 300), ("i4", 1.5), ("i4", "x"), ("?", 7), ("list<i64; 3>", [1, 2]), ("U3", "abcd"), ("string", 5)]


@pytest.mark.parametrize(("dtype", "fill"), NO_FILLS, ids=lambda x: repr(x)[:30])
def test_fill_values_that_do_not_fit(memory: str, dtype: str, fill: Any) -> None:
    file = af.open(memory, "w")
    with pytest.raises(af.InvalidArgumentError):
        file.create_array("a", shape=2, dtype=dtype, fill_value=fill)
    assert "a" not in file
    file.discard()


@pytest.mark.parametrize("dtype", ["longdouble", "clongdouble", "O", "list<string>", "nonsense", [("a", "O")], ("i4", (2, 2)), 5])
def test_types_that_cannot_be_kept(memory: str, dtype: Any) -> None:
    file = af.open(memory, "w")
    with pytest.raises(af.ArrayFormatError):
        file.create_array("a", shape=2, dtype=dtype)
    assert "a" not in file and not file.has_pending
    file.discard()


@pytest.mark.parametrize("data", [[1, "a"], [{}], [[1], "a"], [b"a", "b"]])
def test_objects_of_several_kinds_are_refused(memory: str, data: list) -> None:
    file = af.open(memory, "w")
    with pytest.raises(af.InvalidArgumentError):
        file["a"] = np.array(data, object)
    file.discard()


def test_objects_that_are_numbers_or_times(memory: str) -> None:
    file = af.open(memory, "w")
    day = datetime.datetime(2020, 1, 2, 3, 4, 5, 6)
    for data, dtype in ([1, None], "i8"), ([1.5, 2], "f8"), ([True, None], "?"), ([day, None], "M8[us]"), ([day.date()], "M8[us]"):
        array = file.create_array("a", np.array(data, object), overwrite=True)
        assert array.dtype == dtype and array.nullable == (None in data)
        assert array[0] == np.array(data[0], dtype) and (array[1] is np.ma.masked if None in data else True)
    for data in ([True, 1], [day.replace(tzinfo=datetime.UTC)], [day, 1]):
        with pytest.raises(af.InvalidArgumentError):
            file["b"] = np.array(data, object)
    with pytest.raises(af.InvalidArgumentError, match="list<f64>"):
        file["b"] = [[1], [1, 2]]
    file.discard()


def test_names_of_the_files_own_types(memory: str) -> None:
    file = af.open(memory, "w")
    for dtype, name in {"string": "string", str: "string", "U": "string", bytes: "binary", "S": "binary", "f4": "f32", "bf16": "bf16",
                        "u8": "u64", "i8": "i64", "uint8": "u8", "timestamp[ns]": "timestamp[ns]", "list<f32; 2>": "list<f32; 2>",
                        float: "f64", int: "i64", bool: "bool", ">i2": "i16"}.items():  # fmt: skip
        assert file.create_array("a", shape=2, dtype=dtype, overwrite=True).element_type == name
    file.discard()
