"""What the file has and what Zarr sees of it, both ways."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

zarr = pytest.importorskip("zarr")

from zarr.core.buffer import cpu

import array_format as af
from array_format.zarr import Store

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have a Zarr V3 specification", "ignore:Consolidated metadata is currently not")

DTYPES = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"]
TIMES = ["M8[s]", "M8[ms]", "M8[us]", "M8[ns]", "m8[s]", "m8[ms]", "m8[us]", "m8[ns]", "M8[D]", "m8[h]", "M8[10ns]", "M8[Y]"]
WIDE = ["U5", "S5", "V3", [("a", "<i4"), ("b", "S2")]]


def _values(dtype: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Values of every bit, a different one for every element."""
    dtype = np.dtype(dtype)
    rng = np.random.default_rng(7)
    if dtype.kind in "US":
        letters = rng.integers(97, 123, (*shape, 3), np.uint8).view("S3")[..., 0]
        return letters.astype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype.kind in "Mm":
        values = rng.integers(-(2**40), 2**40, shape).astype("i8") % 10_000
        values.reshape(-1)[0] = np.iinfo("i8").min  # NaT
        return values.view(dtype)
    if dtype.names:
        values = np.zeros(shape, dtype)
        values["a"] = rng.integers(0, 1000, shape)
        values["b"] = b"x"
        return values
    raw = rng.integers(0, 256, (*shape, dtype.itemsize), np.uint8)
    return raw.reshape(-1).view(dtype).reshape(shape)


def _same(a: Any, b: Any) -> bool:
    a, b = np.asarray(a), np.asarray(b)
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def _keys(store: Store) -> list[str]:
    async def collect() -> list[str]:
        return sorted([key async for key in store.list()])

    return asyncio.run(collect())


def _document(store: Store, key: str) -> Any:
    value = asyncio.run(store.get(key))
    return None if value is None else json.loads(value.to_bytes())


def _set(store: Store, key: str, value: Any) -> None:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    asyncio.run(store.set(key, cpu.Buffer.from_bytes(raw)))


def _sound(path: str) -> None:
    assert af.open(path).verify(statistics=True).is_clean


@pytest.mark.parametrize("dtype", DTYPES + TIMES + WIDE, ids=str)
@pytest.mark.parametrize("shape, chunks", [((7, 5), (3, 2)), ((4,), None), ((), None)], ids=str)
def test_arrays_of_the_file_read_through_zarr(path: str, dtype: Any, shape: tuple, chunks: tuple | None) -> None:
    values = _values(dtype, shape)
    with af.open(path, "w") as file:
        file.create_array("g/x", values, chunks=chunks, dims=[f"d{i}" for i in range(len(shape))])
    store = Store(path, read_only=True)
    array = zarr.open(store=store, mode="r")["g/x"]
    assert array.chunks == (chunks or shape) and array.metadata.dimension_names == (tuple(f"d{i}" for i in range(len(shape))) or None)
    assert _same(array[...] if shape else np.asarray(array[...], dtype), values)  # Zarr gives scalars of no axes the width that they have
    assert len(array.metadata.codecs) == 1


@pytest.mark.parametrize("dtype", DTYPES + TIMES + WIDE, ids=str)
@pytest.mark.parametrize("kwargs", [{"compressors": None}, {}], ids=["plain", "compressed"])
def test_what_zarr_writes_are_arrays_of_the_file(path: str, dtype: Any, kwargs: dict) -> None:
    values = _values(dtype, (7, 5))
    with Store(path) as store:
        array = zarr.create_array(store, name="g/x", shape=(7, 5), chunks=(3, 2), dtype=values.dtype, dimension_names=["y", "x"], **kwargs)
        array[...] = values
    file = af.open(path)
    assert file["g/x"].chunks == (3, 2) and file["g/x"].dims == ("y", "x")
    assert _same(file["g/x"][...], values)
    assert len(file["g/x"].chunk_stats()) == 9
    _sound(path)
    assert _same(zarr.open(store=Store(path), mode="r")["g/x"][...], values)


# Named by hand: the text of a codec holds a set, whose order differs from one process to the next.
CODECS = {
    "transpose, Blosc, CRC": {"filters": [zarr.codecs.TransposeCodec(order=(1, 0))], "compressors": [zarr.codecs.BloscCodec(), zarr.codecs.Crc32cCodec()]},
    "big-endian, Zstandard": {"serializer": zarr.codecs.BytesCodec(endian="big"), "compressors": [zarr.codecs.ZstdCodec(level=1)]},
    "shards": {"shards": (6, 4)},
    "format 2, Fortran order": {"zarr_format": 2, "order": "F", "dtype": ">f4"},
    "format 2, keys with slashes": {"zarr_format": 2, "compressors": None, "dtype": "<f4", "chunk_key_encoding": {"name": "v2", "separator": "/"}},
    "default keys with dots": {"compressors": None, "chunk_key_encoding": {"name": "default", "separator": "."}},
    "v2 keys with dots": {"compressors": None, "chunk_key_encoding": {"name": "v2", "separator": "."}},
    "v2 keys with slashes": {"compressors": None, "chunk_key_encoding": {"name": "v2", "separator": "/"}},
}


@pytest.mark.parametrize("kwargs", CODECS.values(), ids=CODECS)
def test_codecs_and_keys_of_every_kind(path: str, kwargs: dict) -> None:
    values = _values("f4", (7, 5))
    arguments = {"name": "x", "shape": (7, 5), "chunks": (3, 2), "dtype": "f4", "fill_value": 0} | kwargs
    memory = zarr.storage.MemoryStore()
    with Store(path) as store:
        for target in (store, memory):
            array = zarr.create_array(target, **arguments)
            array[...] = values
            array[2:4, 1] = 7
        keys = [key for key in memory._store_dict if key.startswith("x/")]
        for key in keys:
            name = key.rpartition("/")[2]
            if name in ("zarr.json", ".zarray", ".zattrs"):
                assert _document(store, key) == json.loads(memory._store_dict[key].to_bytes())
            elif "shards" not in kwargs:  # which may hold their parts in any order
                assert asyncio.run(store.get(key)).to_bytes() == memory._store_dict[key].to_bytes()
                assert asyncio.run(store.getsize(key)) == len(memory._store_dict[key])
        assert [key for key in _keys(store) if key.startswith("x/")] == sorted(keys)
    expected = zarr.open_array(memory, path="x")[...]
    assert np.array_equal(zarr.open_array(Store(path), path="x", mode="r")[...], expected, equal_nan=True)
    assert np.array_equal(af.open(path)["x"][...], expected, equal_nan=True)
    assert af.open(path)["x"].chunks == ((6, 4) if "shards" in kwargs else (3, 2))
    _sound(path)


def test_texts_and_bytes_of_varying_length(path: str) -> None:
    texts = np.array([["a", "", "längst"], ["日本", "x" * 1000, "\n"]], np.dtypes.StringDType())
    raw = np.array([b"", b"\0\1", b"abc", b"x" * 300], object)
    with af.open(path, "w") as file:
        file.create_array("texts", texts, chunks=(1, 2))
        file.create_array("raw", raw, chunks=(3,))
    with Store(path) as store:
        root = zarr.open_group(store, mode="r+")
        assert root["texts"].dtype == np.dtypes.StringDType() and (root["texts"][...] == texts).all()
        assert root["raw"][...].tolist() == raw.tolist()
        root["texts"][0, 0] = "changed"
        root.create_array("more", data=texts, chunks=(2, 2))
        bytes_type = {"shape": (4,), "chunks": (2,), "dtype": zarr.dtype.VariableLengthBytes()}
        root.create_array("more_raw", **bytes_type)[...] = raw
    file = af.open(path)
    assert file["texts"][0, 0] == "changed" and (file["more"][...] == texts).all()
    assert file["more"].element_type == "string" and file["more_raw"].element_type == "binary"
    assert file["more_raw"][...].tolist() == raw.tolist()
    _sound(path)


def test_types_that_zarr_does_not_have(path: str) -> None:
    pairs = np.arange(12, dtype="f4").reshape(6, 2)
    ragged = np.empty(3, object)
    ragged[:] = [np.array([1.0]), np.array([]), np.array([2.0, 3.0])]
    with af.open(path, "w") as file:
        file.create_array("pairs", pairs, dtype="list<f32; 2>", shape=(6,), chunks=(4,), dims=["n"])
        file.create_array("ragged", ragged, dtype="list<f64>")
        file.create_array("half", np.array([1.0, -2.5, np.inf]), dtype="bf16")
    with Store(path) as store:
        root = zarr.open_group(store, mode="r+")
        assert root["pairs"].shape == (6, 2) and root["pairs"].chunks == (4, 2)
        assert root["pairs"].metadata.dimension_names == ("n", None)
        assert _same(root["pairs"][...], pairs)
        assert [np.frombuffer(v).tolist() for v in root["ragged"][...]] == [[1.0], [], [2.0, 3.0]]
        assert _same(root["half"][...], np.array([1.0, -2.5, np.inf], "f4"))
        root["pairs"][5] = [7, 8]
        root["pairs"].attrs["units"] = "m"
        root["pairs"].resize((8, 2))
        root["ragged"][1:2] = np.array([np.array([9.0]).tobytes()], object)
        root["half"][0] = 0.5
        with pytest.raises(af.InvalidArgumentError, match="bfloat16"):
            root["half"][0] = 0.1
    file = af.open(path)
    assert file["pairs"].element_type == "list<f32; 2>" and file["pairs"].shape == (8,)
    assert file["pairs"][5].tolist() == [7, 8] and file["pairs"].attrs["units"] == "m"
    assert [v.tolist() for v in file["ragged"][...]] == [[1.0], [9.0], [2.0, 3.0]]
    assert float(file["half"][0]) == 0.5
    _sound(path)


def test_missing_elements_are_the_fill_value_and_stay_missing(path: str) -> None:
    with af.open(path, "w") as file:
        file.create_array("x", np.ma.MaskedArray([1.0, 2.0, 3.0, 4.0], [False, True, False, True]))
        file.create_array("n", np.ma.MaskedArray([1, 2, 3, 4], [False, True, False, True]), fill_value=-9)
        file.create_array("t", np.array(["a", None, "c"], object))
        file.create_array("i", np.ma.MaskedArray(np.array([1, 0], "i2"), [False, True]))
    with Store(path) as store:
        root = zarr.open_group(store, mode="r+")
        assert np.array_equal(root["x"][...], [1, np.nan, 3, np.nan], equal_nan=True)
        assert root["n"][...].tolist() == [1, -9, 3, -9]
        assert root["t"][...].tolist() == ["a", "", "c"]
        assert root["i"][...].tolist() == [1, -(2**15)] and root["i"].fill_value == -(2**15)
        root["x"][2:] = [5.0, 6.0]
        root["n"][0] = 7
    file = af.open(path)
    assert file["x"][...].tolist() == [1.0, None, 5.0, 6.0]
    assert file["n"][...].tolist() == [7, None, 3, None]


def test_chunks_that_were_never_written_are_absent(path: str) -> None:
    with af.open(path, "w") as file:
        array = file.create_array("x", shape=(6, 6), dtype="f4", chunks=(2, 3), fill_value=5)
        array[2:4, 3:] = 1
    with Store(path) as store:
        assert _keys(store) == ["x/c/1/1", "x/zarr.json", "zarr.json"]
        array = zarr.open_array(store, path="x")
        assert array[...].sum() == 5 * 30 + 6
        array[:2] = 5  # nothing but the fill value: Zarr deletes the chunks
        array[2:4] = 5
        assert _keys(store) == ["x/zarr.json", "zarr.json"]
    file = af.open(path)
    assert file["x"].chunk_stats() == [] and (file["x"][...] == 5).all()
    _sound(path)


NAN = [np.uint32(0x7FC00001), np.uint32(0xFFC00000), np.uint32(0xFFFFFFFF)]


@pytest.mark.parametrize("fill", [*[n.view("f4") for n in NAN], np.float32("inf"), np.float32("-inf"), np.float32("nan")], ids=repr)
def test_fill_values_of_every_bit(path: str, fill: np.float32) -> None:
    with af.open(path, "w") as file:
        file.create_array("x", shape=(3,), dtype="f4", fill_value=fill)
    with Store(path) as store:
        found = zarr.open_array(store, path="x")
        assert np.asarray(found.fill_value).view("u4") == np.asarray(fill).view("u4")
        assert _same(found[...], np.full(3, fill))
        found.attrs["a"] = 1  # writes all metadata
        found[0] = 1
    assert _same(af.open(path)["x"][1:], np.full(2, fill)) and af.open(path)["x"].attrs["a"] == 1


ATTRIBUTES = {
    "text": "degC",
    "empty": "",
    "int": 1,
    "float": 1.0,
    "bool": True,
    "none": None,
    "large": 2**63,
    "larger": 2**70,
    "nan": float("nan"),
    "ints": [1, 2],
    "floats": [1.0, 2.0],
    "mixed": [1, 2.0, "x", None],
    "signs": [-1, 2**63],
    "nested": {"a": [{"b": None}]},
    "texts": ["a", "b"],
    "nothing": [],
    "surrogate": "\ud800",
    "": "no name",
    "array_format.mine": 5,
    "nul\0": 1,
    "array_format.json:x": 1,
}


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_attributes_come_back_as_they_were(path: str, zarr_format: int) -> None:
    with Store(path) as store:
        root = zarr.create_group(store, attributes=ATTRIBUTES, zarr_format=zarr_format)
        root.create_array("x", shape=(1,), dtype="i4", attributes=ATTRIBUTES)
    store = Store(path)
    root = zarr.open_group(store, mode="r+")
    for node in (root, root["x"]):
        assert repr(dict(sorted(node.attrs.asdict().items()))) == repr(dict(sorted(ATTRIBUTES.items())))
        node.attrs.put({"int": 2})
        assert node.attrs.asdict() == {"int": 2}
    store.close()
    assert af.open(path)["x"].attrs.asdict() == {"int": 2} == af.open(path).attrs.asdict()


def test_attributes_of_the_file_keep_their_types(path: str) -> None:
    attrs = {
        "time": np.datetime64("2024-01-02T03:04:05", "ns"),
        "small": np.float32(0.5),
        "levels": np.array([1, 2], "i2"),
        "raw": b"\0\1",
        "complex": 1 + 2j,
    }
    with af.open(path, "w") as file:
        file.create_array("x", shape=(1,), attrs=attrs)
    with Store(path) as store:
        array = zarr.open_array(store, path="x")
        shown = {"time": "2024-01-02T03:04:05.000000000", "small": 0.5, "levels": [1, 2], "raw": "AAE=", "complex": [1.0, 2.0]}
        assert array.attrs.asdict() == shown
        array.attrs["more"] = "text"
    found = af.open(path)["x"].attrs.asdict()
    assert found.pop("more") == "text"
    assert {k: (type(v), repr(v)) for k, v in found.items()} == {k: (type(v), repr(v)) for k, v in attrs.items()}


def test_metadata_that_the_file_does_not_know_are_remembered(path: str) -> None:
    extra = {"must_understand": False, "by": ["nobody"]}
    with Store(path) as store:
        array = zarr.create_array(store, name="x", shape=(4,), chunks=(2,), dtype="i4", fill_value=3)
        array[...] = 1
        document = _document(store, "x/zarr.json") | {"extra": extra, "dimension_names": ["a/b"]}
        _set(store, "x/zarr.json", document)
    store = Store(path)
    assert _document(store, "x/zarr.json") == document
    assert af.open(path)["x"][...].tolist() == [1, 1, 1, 1] and af.open(path)["x"].dims == ()
    # What others make of the array meanwhile is what counts.
    with af.open(path, "r+") as file:
        file.create_array("x", np.zeros(3, "f8"), overwrite=True)
    store.refresh()
    assert "extra" not in _document(store, "x/zarr.json") and _document(store, "x/zarr.json")["data_type"] == "float64"
    assert zarr.open_array(store, path="x")[...].tolist() == [0, 0, 0]


def test_what_the_file_has_no_equal_of_is_kept_as_it_is(path: str) -> None:
    with Store(path) as store:
        root = zarr.create_group(store)
        array = root.create_array("x", shape=(4,), chunks=(2,), dtype="i4", compressors=None)
        array[...] = [1, 2, 3, 4]
        document = _document(store, "x/zarr.json")
        strange = document | {"data_type": {"name": "of-another-package", "configuration": {}}}
        _set(store, "x/zarr.json", strange)
        _set(store, "x/notes.txt", b"hello")
    store = Store(path)
    assert _keys(store) == ["x/c/0", "x/c/1", "x/notes.txt", "x/zarr.json", "zarr.json"]
    assert _document(store, "x/zarr.json") == strange and "x" not in af.open(path)
    _set(store, "x/zarr.json", document)
    assert zarr.open_array(store, path="x")[...].tolist() == [1, 2, 3, 4]
    store.close()
    assert af.open(path)["x"][...].tolist() == [1, 2, 3, 4]
    _sound(path)


def test_other_metadata_for_the_same_chunks(path: str) -> None:
    with Store(path) as store:
        array = zarr.create_array(store, name="x", shape=(5,), chunks=(2,), dtype="<i4", compressors=None, fill_value=0)
        array[:4] = [1, 2, 3, 4]
        document = _document(store, "x/zarr.json")
        _set(store, "x/zarr.json", document | {"fill_value": 9})
        assert zarr.open_array(store, path="x")[...].tolist() == [1, 2, 3, 4, 9]
        _set(store, "x/zarr.json", document | {"data_type": "uint32"})
        assert zarr.open_array(store, path="x")[...].tolist() == [1, 2, 3, 4, 0]
        with pytest.raises(ValueError, match="a chunk of 'x'"):
            _set(store, "x/c/0", b"123")
    assert af.open(path)["x"].dtype == np.uint32


def test_metadata_of_both_formats_on_one_array(path: str) -> None:
    with Store(path) as store:
        array = zarr.create_array(store, name="x", shape=(4,), chunks=(2,), dtype="<i4", zarr_format=2, compressors=None)
        array[...] = [1, 2, 3, 4]
        document = {
            "zarr_format": 3,
            "node_type": "array",
            "shape": [4],
            "data_type": "int32",
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2]}},
            "chunk_key_encoding": {"name": "v2", "configuration": {"separator": "."}},
            "fill_value": 0,
            "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
            "attributes": {},
        }
        _set(store, "x/zarr.json", document)
        assert {".zarray", "zarr.json"} < {k.removeprefix("x/") for k in _keys(store)}
        assert zarr.open_array(store, path="x", zarr_format=3)[...].tolist() == [1, 2, 3, 4]
        asyncio.run(store.delete("x/.zarray"))
        assert zarr.open_array(store, path="x", zarr_format=3)[...].tolist() == [1, 2, 3, 4]
        assert _keys(store) == sorted(["x/.zattrs", "x/0", "x/1", "x/zarr.json", ".zgroup", ".zattrs"])
    assert af.open(path)["x"][...].tolist() == [1, 2, 3, 4]


def test_an_array_at_the_root(path: str) -> None:
    with Store(path) as store:
        zarr.create_array(store, data=np.arange(6), chunks=(4,), attributes={"a": 1})
        assert _keys(store) == ["c/0", "c/1", "zarr.json"]
        assert zarr.open(store=store)[...].tolist() == [0, 1, 2, 3, 4, 5]
    file = af.open(path)
    assert file["data"][...].tolist() == [0, 1, 2, 3, 4, 5] and file["data"].attrs["a"] == 1
    with Store(path) as store:
        zarr.create_group(store, overwrite=True)
        assert _keys(store) == ["zarr.json"]
    assert list(af.open(path)) == []


def test_consolidated_metadata_are_never_stale(path: str) -> None:
    for zarr_format in (3, 2):
        with Store(path) as store:
            root = zarr.create_group(store, overwrite=True, zarr_format=zarr_format)
            root.create_array("g/x", data=np.arange(3))
            zarr.consolidate_metadata(store, zarr_format=zarr_format)
            memory = zarr.storage.MemoryStore()
            for key in _keys(store):
                memory._store_dict[key] = asyncio.run(store.get(key))
            zarr.consolidate_metadata(memory, zarr_format=zarr_format)
            key = "zarr.json" if zarr_format == 3 else ".zmetadata"
            assert _document(store, key) == json.loads(memory._store_dict[key].to_bytes())
            root.create_array("g/y", data=np.arange(4))
            assert zarr.open_consolidated(store)["g/y"][...].tolist() == [0, 1, 2, 3]


def test_groups_that_nobody_made_are_none(path: str) -> None:
    with Store(path) as store:
        _set(store, "a/b/x/zarr.json", json.loads(_array_document()))
        assert _keys(store) == ["a/b/x/zarr.json"]
        asyncio.run(store.delete("a/b/x/zarr.json"))
        assert _keys(store) == []
        zarr.create_group(store)
        _set(store, "a/b/x/zarr.json", json.loads(_array_document()))
        zarr.create_group(store, path="a")
        asyncio.run(store.delete("a/zarr.json"))
        assert _keys(store) == ["a/b/x/zarr.json", "zarr.json"]
    # Groups of the file are groups, whether they were made or came with an array.
    with af.open(path, "r+") as file:
        file.create_array("implicit/x", np.zeros(2))
        file.create_group("explicit")
    store = Store(path)
    assert {"implicit/zarr.json", "explicit/zarr.json"} < set(_keys(store))
    assert sorted(zarr.open_group(store, mode="r").group_keys()) == ["explicit", "implicit"]


def _array_document() -> str:
    memory = zarr.storage.MemoryStore()
    zarr.create_array(memory, shape=(2,), dtype="i4")
    return memory._store_dict["zarr.json"].to_bytes().decode()


def test_what_resizing_cuts_off_is_gone(path: str) -> None:
    with Store(path) as store:
        array = zarr.create_array(store, name="x", data=np.arange(10) + 1, chunks=(4,))
        array.resize((6,))
        assert af.Array(store.file, "x").shape == (6,)
        array.resize((11,))
        array.append(np.array([7, 7]))
        assert array[...].tolist() == [1, 2, 3, 4, 5, 6, 0, 0, 0, 0, 0, 7, 7]
    _sound(path)


def test_an_array_of_one_chunk_grows(path: str) -> None:
    when = np.datetime64("2024-01-01", "s")
    with af.open(path, "w") as file:
        file.create_array("x", np.ma.MaskedArray([1, 2, 3, 4], [0, 0, 1, 0]), fill_value=-1, codec="zstd:5", attrs={"when": when}, dims=["t"])
        file.create_array("pairs", np.arange(4.0).reshape(2, 2), dtype="list<f64; 2>", shape=(2,))
    with Store(path) as store:
        array = zarr.open_array(store, path="x")
        array.append(np.array([5, 6, 7, 8, 9]))
        assert array[...].tolist() == [1, 2, -1, 4, 5, 6, 7, 8, 9]
        pairs = zarr.open_array(store, path="pairs")
        pairs.resize((5, 2))
        pairs[2:] = 7
    file = af.open(path)
    assert file["x"][:4].tolist() == [1, 2, None, 4]
    assert file["x"][4:].tolist() == [5, 6, 7, 8, 9] and file["x"].chunks == (4,) and file["x"].nullable
    assert file["x"].attrs["when"] == when and file["x"].codec.startswith("zstd") and file["x"].dims == ("t",)
    assert file["pairs"].element_type == "list<f64; 2>" and file["pairs"][...].tolist() == [[0, 1], [2, 3]] + [[7, 7]] * 3
    assert _keys(Store(path)) == ["pairs/c/0/0", "pairs/c/1/0", "pairs/c/2/0", "pairs/zarr.json", "x/c/0", "x/c/1", "x/c/2", "x/zarr.json", "zarr.json"]


FIXTURES = Path(__file__).parents[2] / "fixtures" / "v1"


@pytest.mark.skipif(not FIXTURES.is_dir(), reason="the files of the format's own tests are not there")
@pytest.mark.parametrize("name", sorted(p.name for p in FIXTURES.glob("*") if p.is_dir()))
def test_the_files_of_the_format_read_through_zarr(name: str, tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / name, tmp_path / name)
    path = tmp_path / name / f"{name}.af"
    root = zarr.open_group(Store(path, read_only=True), mode="r")
    for array_name, array in af.open(path).arrays(recursive=True).items():
        found, expected = np.asarray(root[array_name][...]), array[...]
        there = ~np.ma.getmaskarray(expected)
        values, found = np.ma.getdata(expected)[there], found[there]
        if array.element_type == "bf16":
            values = values.astype("f4")
        if array.element_type.startswith("list<") and values.dtype == object:
            values = np.array([v.tobytes() for v in values.reshape(-1)] + [b""], object)[:-1]
        if values.dtype.kind in "OT":
            assert found.reshape(-1).tolist() == values.reshape(-1).tolist(), array_name
        else:
            assert found.dtype == values.dtype and found.tobytes() == values.tobytes(), array_name
