"""Columns over all arrays, and many arrays at once."""

from __future__ import annotations

import numpy as np
import pytest

import array_format as af


@pytest.fixture
def file() -> af.File:
    file = af.open("memory://tables/run.af", "w")
    for i in range(5):
        attrs = {"n": i, "units": "m" if i % 2 else "K", "when": np.datetime64(f"2020-01-0{i + 1}", "s"), "ok": bool(i)}
        file.create_array(f"p{i}", np.arange(i, 10, dtype="f4"), attrs=attrs if i != 3 else {})
    file.create_array("empty", shape=0, dtype="f4")
    file.create_group("g").attrs["n"] = 7
    file.commit()
    return file


def test_statistics(file: af.File) -> None:
    table = file.statistics_table()
    assert list(table) == ["name", "size", "min", "max", "count", "nulls", "nans"] and table.num_rows == 6 and len(table) == 7
    rows = dict(zip(table["name"].tolist(), zip(table["size"], table["min"], table["max"], strict=True), strict=True))
    assert rows["p2"] == (8, 2.0, 9.0) and rows["empty"][0] == 0 and rows["empty"][1] is np.ma.masked
    assert table["min"].dtype == "f4" and table["size"].sum() == 40
    for i in range(5):
        stats = file[f"p{i}"].stats
        assert (stats.min, stats.max, stats.size, stats.count, stats.nulls, stats.nans) == (i, 9, 10 - i, 10 - i, 0, 0)


def test_statistics_of_every_type() -> None:
    file = af.open("memory://tables/types.af", "w")
    known = {
        "f8": np.array([1.5, np.nan, -2.0]),
        "i1": np.array([-3, 4], "i1"),
        "?": np.array([True, True]),
        "M8[ns]": np.array([5, 7], "M8[ns]"),
        "M8[D]": np.array(["2020-01-02", "2021-01-01"], "M8[D]"),
        "M8[M]": np.array(["2020-01", "2021-01"], "M8[M]"),
        "m8[25us]": np.array([5, 7], "m8[25us]"),
        "U": np.array(["b", "a"]),
        "S": np.array([b"b", b"a"]),
    }
    for name, values in known.items():
        array = file.create_array("a", values, overwrite=True)
        found = array.stats
        usable = values[~np.isnan(values)] if values.dtype.kind == "f" else values
        least, most = (min(usable), max(usable)) if values.dtype.kind in "US" else (usable.min(), usable.max())
        assert found.min == least and found.max == most, name
        if values.dtype.kind in "Mmif":
            assert np.asarray(found.min).dtype == values.dtype, name
        assert found.exact and found.count == values.size and found.nans == values.size - usable.size
        assert array.chunk_stats(min=least, max=most)[0].stats.min == least
        assert array.chunk_stats()[0].region == (slice(0, values.size),)
    nulls = file.create_array("n", np.ma.MaskedArray([1, 2, 3], [True, False, False]))
    assert (nulls.stats.nulls, nulls.stats.min) == (1, 2)
    for values in (np.zeros(2, "c8"), np.zeros(2, [("a", "i4")]), np.empty(0)):
        assert file.create_array("a", values, overwrite=True).stats.min is None
    nat = file.create_array("a", np.array(["NaT", "2020-01-01"], "M8[D]"), overwrite=True)
    assert nat.stats.min is None and nat.stats.max == np.datetime64("2020-01-01")
    file.discard()


def test_chunks_that_may_hold_a_value(file: af.File) -> None:
    array = file.create_array("c", np.arange(100.0), chunks=10)
    assert [c.start for c in array.chunk_stats(min=35, max=52)] == [(30,), (40,), (50,)]
    assert [c.start for c in array.chunk_stats(min=89.5)] == [(90,)]
    assert array.chunk_stats(max=-1) == []
    with pytest.raises(af.InvalidArgumentError, match="no bound"):
        array.chunk_stats(min="x")
    assert "start=(0,)" in repr(array.chunk_stats()[0])
    file.discard()


def test_attribute_columns(file: af.File) -> None:
    column = file.attribute_column("n")
    assert column["name"].tolist() == ["g", "p0", "p1", "p2", "p4"] and column["value"].tolist() == [7, 0, 1, 2, 4]
    assert column["value"].dtype == "i8" and file.attribute_column("units")["value"].tolist() == ["K", "m", "K", "K"]
    assert file.attribute_column("when")["value"].dtype == "M8[s]" and file.attribute_column("ok")["value"].dtype == bool
    assert file.attribute_column("nothing").num_rows == 0


def test_attribute_columns_of_several_types_and_json(file: af.File) -> None:
    for name, value in {"p0": 1.5, "p1": "x", "p2": {"y": [1]}, "p3": [1, 2], "p4": None}.items():
        file[name].attrs["v"] = value
    column = file.attribute_column("v")
    assert column["name"].tolist() == ["p0", "p1", "p2", "p3", "p4"]
    found = column["value"].tolist()
    assert found[:3] == [1.5, "x", {"y": [1]}] and found[3].tolist() == [1, 2] and found[4] is None
    assert "p2" in repr(file.table("v")) and file.table("v").to_pandas()["v"]["p1"] == "x"
    file.discard()


def test_tables_are_filtered(file: af.File) -> None:
    table = file.table("n", "units")
    assert table.where(table["n"] > 1)["name"].tolist() == ["p2", "p4"]
    assert table.where((table["max"] >= 9) & (table["min"] >= 3))["name"].tolist() == ["p3", "p4"]
    assert table.where(table["units"] == "m")["name"].tolist() == ["p1"]
    assert table.where(np.zeros(6, bool)).num_rows == 0
    assert file.read_many(table.where(table["n"] > 3)["name"])[0].tolist() == [4, 5, 6, 7, 8, 9]


def test_attributes_with_the_name_of_a_statistic(file: af.File) -> None:
    file["p0"].attrs.update(name="mine", min=7)
    table = file.table("name", "min")
    assert table["name"].tolist()[1:3] == ["p0", "p1"] and table["attrs.name"][1] == "mine" and table["attrs.min"][1] == 7
    assert table["min"][1] == 0 and table["attrs.min"][2] is np.ma.masked
    file.discard()


def test_tables_as_data_frames(file: af.File) -> None:
    pandas = pytest.importorskip("pandas")
    frame = file.table("n", "units", "when", "ok", "nothing").to_pandas()
    assert frame.index.name == "name" and frame.loc["p2", "min"] == 2.0 and np.isnan(frame.loc["empty", "min"])
    assert frame["n"].dtype == "Int64" and frame["ok"].dtype == "boolean" and pandas.isna(frame.loc["p3", "n"])
    assert frame["when"].dtype.kind == "M" and pandas.isna(frame.loc["p3", "when"])
    assert frame.loc["p1", "units"] == "m" and frame.loc["p3", "units"] is None
    assert frame["nothing"].isna().all() and frame.shape == (6, 11)
    assert file.attribute_column("n").to_pandas().loc["g", "value"] == 7


def test_tables_for_arrow(file: af.File) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    table = file.table("n", "units", "when", "nothing").to_arrow()
    assert table.num_rows == 6 and table["name"].type == pyarrow.string()
    assert table["n"].type == pyarrow.int64() and table["n"].null_count == 2
    assert table["min"].type == pyarrow.float32() and table["units"].to_pylist() == [None, "K", "m", "K", None, "K"]
    assert table["nothing"].null_count == 6


def test_tables_of_nothing() -> None:
    file = af.open("memory://tables/nothing.af", "w")
    table = file.table("x")
    assert table.num_rows == 0 and repr(table) and table._repr_html_()
    assert table.to_pandas().shape == (0, 7) and table.to_arrow().num_rows == 0 and table.where(np.zeros(0, bool)).num_rows == 0


def test_many_arrays_at_once(file: af.File) -> None:
    more = {"s": ["x", "y"], "n": [1, None], "t": np.array(["2020", "NaT"], "M8[D]")}
    more |= {"z": np.float32(2), "e": np.empty((0, 3)), "b": [True]}
    for name, values in more.items():
        file[name] = values
    names = ["p3", "s", "n", "t", "z", "e", "b", "p0", "p3"]
    for found, name in zip(file.read_many(names), names, strict=True):
        expected = file[name][...]
        assert type(found) is type(expected) and found.dtype == expected.dtype and found.shape == expected.shape
        assert np.array_equal(np.ma.filled(found), np.ma.filled(expected), equal_nan=expected.dtype.kind in "fM")
    assert file.read_many([]) == [] and file.read_many(n for n in ["z"])[0] == 2
    found = file.read_many(["p0", "p1"])
    found[0][:] = 7
    assert found[1][0] == 1 and file["p0"][0] == 0
    with pytest.raises(af.NotFoundError):
        file.read_many(["p0", "missing"])
    with pytest.raises(af.InvalidArgumentError):
        file.read_many("p0")
    file.discard()


def test_ragged(file: af.File) -> None:
    names = ["empty", *(f"p{i}" for i in range(5))]
    for pending in (False, True):
        if pending:
            file["p2"][0] = -1
        for some in (names, names[::-1], ["p3", "p3", "p0"], []):
            values, offsets = file.read_ragged(some)
            assert len(offsets) == len(some) + 1 and offsets[0] == 0 and offsets[-1] == len(values)
            for i, name in enumerate(some):
                assert np.array_equal(values[offsets[i] : offsets[i + 1]], file[name][...].ravel())
    assert file.read_ragged(names)[0].dtype == file["p0"].dtype
    file["text"] = np.array(["a", "b"])
    for wrong in ("p0", ["text"], ["p0", "text"]):
        with pytest.raises(af.InvalidArgumentError):
            file.read_ragged(wrong)
    with pytest.raises(af.NotFoundError):
        file.read_ragged(["p0", "missing"])
    file.discard()
