"""Tests of the reader: the golden files in fixtures/v1, and bytes made by hand from docs/format.md.

What is expected of a golden file stands beside it, `fixtures/v1/<case>/<case>.af` and `<case>.json`, in the schema of
fixtures/v1/README.md, in short:

    {"schema": 1, "versions": [                              every version that can be read, oldest first; for each
      {"version", "time", "message", "cause", "footer",      numbers, texts; sums per object
       "groups": {path: {"dims", "attributes"}},             "" is the root group
       "arrays": {path: {"type", "dims", "shape", "chunk_shape", "nullable", "fill", "filters",
                         "values", "validity", "attributes", "statistics", "chunk_statistics"}}}]}

Values are hex of little-endian bytes, so that NaN and -0.0 are exact; `values` may be "sha256:" and a digest.
"""

import hashlib
import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import mini_writer as w  # noqa: E402
from af_encoding import (  # noqa: E402
    Block, Cursor, ElementType, FormatError, Unsupported, check_filters, crc32c, crc32c_by_table, decode_chunk,
    decode_framed, decompress, undo_filters,
)  # fmt: skip
from af_reader import File, describe  # noqa: E402
from af_tables import read_table_2, read_value  # noqa: E402

FIXTURES = Path(__file__).parents[2] / "fixtures" / "v1"
CASES = sorted(path.name for path in FIXTURES.iterdir() if path.is_dir()) if FIXTURES.is_dir() else []


# -- golden files --------------------------------------------------------------------------------


def digest(values):
    """What stands for long values: the digest of their bytes, every one of variable size after its length (u64)."""
    if isinstance(values, str):
        return "sha256:" + hashlib.sha256(bytes.fromhex(values)).hexdigest()
    elements = map(bytes.fromhex, values)
    return "sha256:" + hashlib.sha256(b"".join(struct.pack("<Q", len(e)) + e for e in elements)).hexdigest()


def assert_described(found, wanted):
    wanted = json.loads(json.dumps(wanted))
    for path, array in wanted["arrays"].items():
        if str(array["values"]).startswith("sha256:") and path in found["arrays"]:
            found["arrays"][path]["values"] = digest(found["arrays"][path]["values"])
    assert list(found["arrays"]) == sorted(wanted["arrays"], key=str.encode)
    assert found["groups"] == wanted["groups"]
    for path, array in wanted["arrays"].items():
        for key in sorted(array.keys() | found["arrays"][path].keys()):
            assert found["arrays"][path].get(key) == array.get(key), f"version {found['version']}, array {path}, {key}"
    assert found == wanted


def test_there_are_golden_files():
    assert CASES, f"no golden files in {FIXTURES.name}"


@pytest.mark.parametrize("case", CASES)
def test_golden_file(case):
    path = FIXTURES / case / f"{case}.af"
    expected = json.loads((FIXTURES / case / f"{case}.json").read_text())
    assert expected["schema"] in (1, 2)
    wanted = {version["version"]: version for version in expected["versions"]}
    newest = File(path)
    assert newest.versions() == sorted(wanted)
    assert newest.version == max(wanted)
    for number, version in wanted.items():
        file = File(path, number)
        assert file.check()
        found = describe(file)
        if expected["schema"] == 1:
            del found["footer"]["sections"]
        assert_described(found, version)


# -- columns -------------------------------------------------------------------------------------


def column(text, count, kind="integers"):
    cursor = Cursor(bytes.fromhex(text))
    values = getattr(cursor, kind)(count)
    cursor.end()
    return values


def test_checksum():
    assert crc32c(b"123456789") == crc32c_by_table(b"123456789") == 0xE3069283
    assert crc32c(b"") == crc32c_by_table(b"") == 0


def test_numbers():
    assert Cursor(b"\xe5\x8e\x26").varint() == 624485
    assert Cursor(b"\xff" * 9 + b"\1").varint() == 2**64 - 1
    assert [Cursor(bytes([b])).zigzag() for b in range(4)] == [0, -1, 1, -2]
    assert Cursor(b"\xff" * 9 + b"\1").zigzag() == -(2**63)
    for bad in (b"\xff" * 9 + b"\2", b"\x80" * 10 + b"\0", b"\x80"):
        with pytest.raises(FormatError):
            Cursor(bad).varint()


def test_integer_columns():
    assert column("00 05 00", 3) == [5, 5, 5]
    assert column("00 00 00", 0) == []
    assert column("00 0a 02 01 02 00 01", 2) == [11, 10 + 258]  # low bytes 01 02, high bytes 00 01
    assert column("01 07 02 00", 4) == [7, 8, 9, 10]
    assert column("01 07 01 01 00 05", 3) == [7, 6, 10]  # base -1
    assert column("00 ffffffffffffffffff01 01 00 02", 2) == [2**64 - 1, 1]  # modulo 2^64
    for bad, count in (("02 00 00", 1), ("00 00 09" + "00" * 9, 1), ("01 00 00 00", 0), ("00 00 01 00", 2), ("00 00 00", 2**60)):
        with pytest.raises(FormatError):
            column(bad, count)


@pytest.mark.parametrize("delta", [False, True])
@pytest.mark.parametrize("values", [[], [0], [2**64 - 1], [3, 1, 2], [0, 2**62, 5], list(range(1000))])
def test_integer_columns_both_ways(values, delta):
    cursor = Cursor(w.ints(values, delta))
    assert cursor.integers(len(values)) == values
    cursor.end()


def test_byte_columns():
    assert column("00 00 01 01 00 02 61 62 63", 3, "strings") == [b"a", b"", b"bc"]
    assert column("00 00 01 00 02 01  00 01 01 02 00 00 61 62 63 64 65", 3, "front_coded") == [b"abc", b"abd", b"ae"]
    with pytest.raises(FormatError):
        column("00 01 00 00 01 00 61", 1, "front_coded")


# -- codecs and filters --------------------------------------------------------------------------

TYPES = {name: code for code, name in enumerate("bool i8 i16 i32 i64 u8 u16 u32 u64 f16 bf16 f32 f64 complex64".split(), 1)}


def scalar(name):
    return ElementType(TYPES[name], TYPES[name], None)


def test_codecs():
    text = b"abcabcabcabcabcabcabcabc-the end"
    assert decompress(1, bytes.fromhex("00"), 0) == b""
    assert decompress(1, bytes.fromhex("50") + b"hello", 5) == b"hello"  # five literals
    # one byte a, twelve more from one byte back, five literals
    assert decompress(1, bytes.fromhex("18 61 0100 50") + b"hello", 18) == b"a" * 13 + b"hello"
    # a Zstandard frame with a content size of 5: single segment, one raw block that is the last
    assert decompress(2, bytes.fromhex("28b52ffd 20 05 290000") + b"hello", 5) == b"hello"
    for codec in (0, 1, 2):
        stored = w.compress(codec, text)
        assert decompress(codec, stored, len(text)) == text
        for bad, length in ((stored, 31), (stored, 33), (stored, 0), (stored + b"\0", len(text)), (stored[:-1], len(text))):
            with pytest.raises(FormatError):
                decompress(codec, bad, length)
    with pytest.raises(Unsupported):
        decompress(4, b"", 0)


def test_codec_numbers():
    planes, raw = bytes.fromhex("0010011102120313"), bytes.fromhex("0001020310111213")
    f32 = f"{TYPES['f32']:02x}"
    shuffled = bytes.fromhex(f"{f32} 01 01 00 00 00")  # f32, one filter: shuffle; inner codec none
    assert decompress(3, planes, 8, shuffled) == raw
    assert decompress(3, w.compress(2, planes), 8, bytes.fromhex(f"{f32} 01 01 00 02 01 03")) == raw  # Zstandard 3 inside
    pco_then_zstd, rounding, itself, more = "01 04 01 04 02 00", "01 03 01 04 00 00", "00 03 00", "00 00 00 00"
    for bad in ("", f32, f"{f32} {pco_then_zstd}", f"{f32} {rounding}", f"{f32} {itself}", f"{f32} {more}", "c8 00 00 00"):
        with pytest.raises(FormatError):
            decompress(3, raw, 8, bytes.fromhex(bad))


def test_shuffle():
    assert undo_filters(bytes.fromhex("0010011102120313"), [(1, b"")], scalar("f32"), 8).hex() == "0001020310111213"
    # complex64: lanes of 4 bytes
    assert undo_filters(bytes.fromhex("0010011102120313"), [(1, b"")], scalar("complex64"), 8).hex() == "0001020310111213"


def test_delta():
    raw = np.array([5, -2, 32765, -1], "<i2").tobytes()
    assert undo_filters(raw, [(2, b"")], scalar("i16"), 8) == np.array([5, 3, -32768, 32767], "<i2").tobytes()
    twice = np.array([1, 0, 1], "u1").tobytes()
    assert undo_filters(twice, [(2, b""), (2, b"")], scalar("u8"), 3) == bytes([1, 2, 4])
    steps = np.array([1, 2, 3], "<u4").view("u1").reshape(3, 4).T.tobytes()
    assert undo_filters(steps, [(2, b""), (1, b"")], scalar("u32"), 12) == np.array([1, 3, 6], "<u4").tobytes()


@pytest.mark.parametrize("name", ["i8", "u8", "i16", "u64", "f16", "f32", "complex64"])
def test_pco(name):
    from pcodec import ChunkConfig, standalone

    config = ChunkConfig(compression_level=4, enable_8_bit=True)
    etype = scalar(name)
    values = np.arange(5).astype(etype.dtype)
    lanes = np.concatenate([values.real, values.imag]) if name == "complex64" else values
    stored = standalone.simple_compress(lanes, config)
    assert undo_filters(stored, [(4, b"\4")], etype, values.nbytes) == values.tobytes()
    empty = standalone.simple_compress(lanes[:0], config)
    assert undo_filters(empty, [(4, b"\4")], etype, 0) == b""
    for bad in (stored + b"x", stored[:-1], b"", empty):
        with pytest.raises(FormatError):
            undo_filters(bad, [(4, b"\4")], etype, values.nbytes)
    for size in (values.nbytes - etype.size, values.nbytes + etype.size):
        with pytest.raises(FormatError):
            undo_filters(stored, [(4, b"\4")], etype, size)


def test_filter_lists():
    for item, good in (("i32", [2, 2, 1]), ("f32", [3, 1]), ("f32", [3, 4]), ("i8", [2, 4]), ("bool", [1])):
        check_filters([(f, {3: b"\1", 4: b"\0"}.get(f, b"")) for f in good], TYPES[item])
    for item, bad in (
        ("i32", [1, 2]), ("i32", [1, 4]), ("i32", [1, 1]), ("i32", [3]), ("f32", [2]), ("f32", [1, 3]),
        ("bool", [2]), ("bool", [4]), ("bf16", [4]), ("i32", [2] * 9), ("i32", [9]),
    ):  # fmt: skip
        with pytest.raises(FormatError):
            check_filters([(f, {3: b"\1", 4: b"\0"}.get(f, b"")) for f in bad], TYPES[item])
    for bad in ((3, b"\x18"), (3, b"\0"), (3, b""), (4, b"\x0d"), (1, b"\0")):
        with pytest.raises(FormatError):
            check_filters([bad], TYPES["f32"])


# -- values, chunks ------------------------------------------------------------------------------


def test_attribute_values():
    def value(text):
        return read_value(Cursor(bytes.fromhex(text)))

    assert (value("0c 00000080").type, value("0c 00000080").raw.hex()) == ("f32", "00000080")
    assert value("20 02 c3a9").value == "é"
    assert value("83 02 0100 ffff").value.tolist() == [1, -1]
    assert (value("a0 02 01 61 00").type, value("a0 02 01 61 00").value) == ("list<string>", ["a", ""])
    assert value("21 01 ff").json() == {"type": "binary", "value": "ff"}
    for bad in ("00", "18 00", "28 03 01", "20 01 ff", "83 03 0100 ffff"):
        with pytest.raises(FormatError):
            value(bad)


def test_chunk_bytes():
    values, valid = decode_chunk(bytes.fromhex("0100 0000 ffff 05"), 3, scalar("i16"), [], True)
    assert values.tolist() == [1, 0, -1] and valid.tolist() == [True, False, True]
    with pytest.raises(FormatError):  # a bit beyond the elements
        decode_chunk(bytes.fromhex("0100 0000 ffff 0d"), 3, scalar("i16"), [], True)
    string = ElementType(32, None, None)
    lengths = "020001" + "000000" * 7
    values, valid = decode_chunk(bytes.fromhex(lengths + "616263" + "05"), 3, string, [], True)
    assert list(values) == ["ab", "", "c"] and valid.tolist() == [True, False, True]
    lists = ElementType(41, TYPES["i16"], None)
    values, _ = decode_chunk(bytes.fromhex(lengths + "0100 0200 0300"), 3, lists, [], False)
    assert [v.tolist() for v in values] == [[1, 2], [], [3]]
    values, _ = decode_chunk(bytes.fromhex(lengths + "0100 0100 0100"), 3, lists, [(2, b"")], False)
    assert [v.tolist() for v in values] == [[1, 2], [], [3]]
    for bad in (lengths + "6162", lengths + "61626364", lengths[:-2]):
        with pytest.raises(FormatError):
            decode_chunk(bytes.fromhex(bad), 3, string, [], False)


def test_framed_block():
    raw, mask = np.arange(10, dtype="<u2").tobytes(), bytes([0xFF, 3])
    for codec in (0, 1, 2):
        stored, checksum = w.frames(raw, mask, 6, codec)
        block = Block(("layer", 0), 0, 64, len(stored), 22, 6, (codec, "", b""), checksum)
        values, valid = decode_framed(stored, block, 10, scalar("u16"), [], True)
        assert values.tolist() == list(range(10)) and valid.all()
        for at in (0, 5, len(stored) - 1):
            with pytest.raises(FormatError):
                bad = stored[:at] + bytes([stored[at] ^ 1]) + stored[at + 1 :]
                decode_framed(bad, block, 10, scalar("u16"), [], True)


# -- whole files ---------------------------------------------------------------------------------

W0, W1, W2, DETACHED = (bytes([n]) * 16 for n in (0xA0, 0xA1, 0xA2, 0xDD))
I64 = struct.Struct("<q")


def entry(layer, live, length=0):
    stored, decoded = (sum(block[i] for block in layer.blocks) for i in (3, 4))
    return layer.key, length, stored, decoded, live, layer.write_id


def write_file(path, **kwargs):
    """A file of three versions and detached blocks, with about everything; sidecars beside the base."""
    base = w.Layer(0, W0)
    empty = w.root(base, [], [entry(base, 0)], time=-1, message="", cause=0, counts=(1, 0, 0))
    layer_0 = base.finish(empty)

    detached = w.Layer(None, DETACHED, codec=0)
    wide = np.arange(100, dtype="<f8")
    shuffled = lambda frame: np.frombuffer(frame, "u1").reshape(-1, 8).T.tobytes()  # noqa: E731
    framed = detached.framed(2, wide.tobytes(), b"", 240, filter_frame=shuffled)
    sums = w.varint(0) + w.varint(framed[3]) + w.varint(framed[4])
    blocks = detached.finish(b"\x21" + sums + w.blob(detached.block_directory()) + w.varint(0) + w.blob(b"later"))

    layer = w.Layer(1, W1)
    temperature = [np.full((2, 3), 1.5, "<f4"), np.array([[-0.0], [np.nan]], "<f4")]  # columns 0..3 and 3..4 of rows 0..2
    texts = np.array([2, 0, 1], "<u8").view("u1").reshape(3, 8).T.tobytes() + b"abc" + bytes([5])
    pairs = np.arange(6, dtype="<i2").tobytes()
    lists = np.array([1, 2], "<u8").view("u1").reshape(2, 8).T.tobytes() + np.array([1, 2, 3], "<i8").tobytes()
    packed = layer.block(2, temperature[0].tobytes() + b"dead" + temperature[1].tobytes() + texts)
    small = layer.block(1, pairs + lists)
    layer.block(0, b"dead")
    gone = layer.block(0, b"\x2a")
    rows = [
        dict(path="", kind=1, version=1, id=0, schema=w.group_schema(["time"], [True]), shape=[4], keys=["title"]),
        dict(path="a/gone", kind=2, version=1, id=6, schema=w.array_schema(b"\6", []), shape=[], chunk=(gone, 0, 1)),
        dict(path="a/lists", kind=2, version=1, id=5, schema=w.array_schema(b"\x29\x05", ["x"]), shape=[2], chunk=(small, 12, len(lists))),
        dict(path="a/pairs", kind=2, version=1, id=4, schema=w.array_schema(b"\x28\x03\x02", ["x"]), shape=[3], chunk=(small, 0, 12)),
        dict(path="a/temperature", kind=2, version=1, id=1, keys=["scale", "units"], shape=[4, 4],
             schema=w.array_schema(b"\x0c", ["y", "x"], chunk=[2, 3], fill=struct.pack("<f", -9))),
        dict(path="a/text", kind=2, version=1, id=2, schema=w.array_schema(b"\x20", [""], nullable=True), shape=[3], chunk=(packed, 36, len(texts))),
        dict(path="a/unwritten", kind=2, version=1, id=7, keys=["units"], schema=w.array_schema(b"\x13", ["t"], nullable=True), shape=[2]),
        dict(path="a/wide", kind=2, version=1, id=3, shape=[100], chunk=(framed, 0, 800),
             schema=w.array_schema(b"\x0d", ["x"], chunk=[200], filters=[(1, b"")])),
    ]  # fmt: skip
    nodes = [w.node_page(layer, rows[:3]), w.node_page(layer, rows[3:])]
    inner = w.directory(1, nodes, b"a/wide")
    upper = w.directory(1, [layer.store(inner, 8, b"")], b"a/wide", level=1)
    cells = [(1, (0, 0)), (1, (0, 1)), (1, (1, 0)), (1, (5, 5)), (99, (0,))]
    chunks = w.chunk_page(layer, [
        (*cells[0], (packed, 0, 24)), (*cells[1], (packed, 28, 8)), (*cells[2], None), (*cells[3], (packed, 28, 8)), (*cells[4], None),
    ], 1)  # fmt: skip
    attributes = w.varint(3)
    attributes += w.blob("scale") + w.varint(1) + w.ints([1]) + w.ints([1]) + b"\0\x0d" + w.planes([struct.pack("<d", 0.1)], 8)
    attributes += w.blob("title") + w.varint(1) + w.ints([0]) + w.ints([1])
    attributes += b"\1" + w.varint(1) + b"\xa0\2" + w.blob("é") + w.blob("") + w.ints([1])
    attributes += w.blob("units") + w.varint(3) + w.ints([1, 2, 7], delta=True) + w.ints([1] * 3)
    attributes += b"\1" + w.varint(1) + b"\x20" + w.blob("K") + w.ints([1, 1, 1])
    names = [(b"scale", 1), (b"title", 0), (b"units", 1), (b"units", 2), (b"units", 7)]
    attribute_keys = [name + b"\0" + w.cell_key(node, ()) for name, node in names]
    f4 = struct.Struct("<f").pack
    whole = [
        dict(flags=3, type=12, min=f4(-0.0), max=f4(1.5), counts=(8, 0, 1)),
        dict(flags=7, type=32, min=b"ab", max=b"d", counts=(3, 1, 0)),
        dict(flags=2, counts=(100, 0, 0)),
        dict(flags=128),
    ]
    parts = [dict(flags=3, type=12, min=f4(1.5), max=f4(1.5), counts=(6, 0, 0)), dict(flags=0)]
    run = [
        upper,
        w.directory(2, [chunks], w.cell_key(*cells[-1])),
        w.directory(3, [layer.page(3, attribute_keys, attributes)], attribute_keys[-1]),
        w.directory(4, [layer.page(4, [w.cell_key(n, ()) for n in (1, 2, 3, 4)], w.ints([1, 2, 3, 4], delta=True) + w.ints([1] * 4)
                                   + w.statistics_columns(whole))], w.cell_key(4, ())),
        w.directory(5, [layer.page(5, [w.cell_key(*cell) for cell in cells[:2]], w.coordinates(cells[:2]) + w.ints([1, 1])
                                   + w.statistics_columns(parts))], w.cell_key(*cells[1])),
    ]  # fmt: skip
    listed = [(DETACHED, len(blocks), framed[3], 800, 800, DETACHED), (0, len(layer_0), 0, 0, 0, W0)]
    live = 24 + 8 + len(texts) + 12 + len(lists)
    layer_1 = layer.finish(w.root(layer, [run], [entry(layer, live + 1), *listed], counts=(8, 7, 1)))

    top = w.Layer(2, W2, codec=0)
    removed = [w.node_page(top, [dict(path="a/gone", kind=0, version=2)])]
    extra = kwargs.pop("extra_objects", [])
    run_2 = [w.directory(1, removed, b"a/gone")]
    objects = [entry(top, 0), entry(layer, live, len(layer_1)), *listed, *extra]
    layer_2 = top.finish(w.root(top, [run_2, run], objects, time=1700000000000, counts=(8, 6, 1), **kwargs))

    path.write_bytes(layer_0)
    folder = path.with_name(path.name + ".layers")
    folder.mkdir()
    stem = w.FILE_ID.hex()
    (folder / f"{stem}.{1:020}.layer").write_bytes(layer_1)
    (folder / f"{stem}.{2:020}.layer").write_bytes(layer_2)
    (folder / f"{stem}.{DETACHED.hex()}.blocks").write_bytes(blocks)
    (folder / f"{'0' * 32}.{9:020}.layer").write_bytes(b"of another file")
    (folder / f"{stem}.{9:020}.layer.tmp").write_bytes(b"of another form")
    return path, folder


def test_file_names_and_types(tmp_path):
    file = File(write_file(tmp_path / "x.af")[0])
    assert file.version == 2 and file.versions() == [0, 1, 2]
    assert file.check()
    assert file.arrays() == ["a/lists", "a/pairs", "a/temperature", "a/text", "a/unwritten", "a/wide"]
    assert file.groups() == ["a"]
    types = {path: file.array(path).dtype for path in file.arrays()}
    assert list(types.values()) == ["list<i64>", "list<i16; 2>", "f32", "string", "timestamp[ns]", "f64"]
    array = file.array("a/temperature")
    assert (array.dims, array.shape, array.chunk_shape, array.grid) == (("y", "x"), (4, 4), (2, 3), (2, 2))
    assert array.fill == -9 and list(array.chunks()) == [(0, 0), (0, 1)]
    assert file.array("a/wide").filters == ((1, b""),)
    footer = file.footer()
    assert (footer["arrays"], footer["message"], footer["time"], footer["cause"]) == (6, "a message", 1700000000000, "commit")
    assert footer["objects"][2] == {"blocks": DETACHED.hex()} | {key: footer["objects"][2][key] for key in ("stored", "decoded", "live")}
    with pytest.raises(KeyError):
        file.array("a/gone")
    with pytest.raises(KeyError):
        file.array("a")


def test_file_values(tmp_path):
    file = File(write_file(tmp_path / "x.af")[0])
    wanted = np.full((4, 4), -9, "<f4")
    wanted[:2, :3], wanted[:2, 3] = 1.5, [-0.0, np.nan]
    assert file.array("a/temperature").read().tobytes() == wanted.tobytes()
    assert file.array("a/wide").read().tolist() == list(range(100))
    assert file.array("a/pairs").read().tolist() == [[0, 1], [2, 3], [4, 5]]
    assert [v.tolist() for v in file.array("a/lists").read()] == [[1], [2, 3]]
    text = file.array("a/text").read()
    assert text.data.tolist() == ["ab", "", "c"] and text.mask.tolist() == [False, True, False]
    nothing = file.array("a/unwritten").read()
    assert nothing.mask.all() and nothing.dtype == "<M8[ns]"


def test_file_attributes_and_groups(tmp_path):
    file = File(write_file(tmp_path / "x.af")[0])
    values = file.array("a/temperature").attributes()
    assert {name: (value.type, value.value) for name, value in values.items()} == {"scale": ("f64", 0.1), "units": ("string", "K")}
    assert file.array("a/text").attributes() == {}  # its key set lacks the name
    assert file.group().attributes()["title"].value == ["é", ""]
    assert file.group().dimensions() == [("time", 4, True)]
    assert file.group("a").dimensions() == [] and file.group("a").attributes() == {}


def test_file_statistics(tmp_path):
    file = File(write_file(tmp_path / "x.af")[0])
    found = file.array("a/temperature").statistics().json()
    assert found == {"type": "f32", "min": "00000080", "max": "0000c03f", "loose": False, "rows": 8, "nulls": 0, "nans": 1}
    text = file.array("a/text").statistics()
    assert (text.min.value, text.max.value, text.loose, text.nulls) == ("ab", "d", True, 1)
    assert file.array("a/wide").statistics().min is None and file.array("a/wide").statistics().rows == 100
    assert file.array("a/pairs").statistics() is None
    parts = file.array("a/temperature").chunk_statistics()
    assert parts[0, 0].min.value == 1.5 and parts[0, 1].rows is None


def test_older_version(tmp_path):
    path, _ = write_file(tmp_path / "x.af")
    assert File(path, 1).array("a/gone").read()[()] == 0x2A
    assert File(path, 1).check()
    oldest = File(path, 0)
    assert oldest.check() and oldest.arrays() == [] and oldest.groups() == []
    with pytest.raises(KeyError):
        File(path, 3)


def test_description_is_json(tmp_path):
    path, _ = write_file(tmp_path / "x.af")
    found = json.loads(json.dumps(describe(File(path))))
    wanted = json.loads(json.dumps(found))
    wanted["arrays"]["a/wide"]["values"] = digest(found["arrays"]["a/wide"]["values"])
    wanted["arrays"]["a/text"]["values"] = digest(["6162", "", "63"])
    assert_described(found, wanted)
    script = str(Path(__file__).parent / "af_reader.py")
    assert "a/wide  f64" in subprocess.run([sys.executable, script, str(path)], capture_output=True, text=True, check=True).stdout


def test_base_replaced(tmp_path):
    """A compaction: the newest layer needs no other, stands in two places, then only as the base."""
    path, folder = write_file(tmp_path / "x.af")
    layer = w.Layer(3, bytes([0xA3]) * 16)
    block = layer.block(1, b"\7")
    page = w.node_page(layer, [dict(path="v", kind=2, version=1, id=1, schema=w.array_schema(b"\6", []), shape=[], chunk=(block, 0, 1))])
    data = layer.finish(w.root(layer, [[w.directory(1, [page], b"v")]], [entry(layer, 1)], cause=2, counts=(9, 1, 0)))
    sidecar = folder / f"{w.FILE_ID.hex()}.{3:020}.layer"
    sidecar.write_bytes(data)
    assert File(path).versions() == [0, 1, 2, 3]
    path.write_bytes(data)
    for step in range(2):
        file = File(path)
        assert file.version == 3 and file.check() and file.array("v").read()[()] == 7
        assert file.versions() == [3]  # all the others need layer 0
        if step == 0:
            sidecar.unlink()


def test_damage(tmp_path):
    path, folder = write_file(tmp_path / "x.af")
    for file in (path, *folder.glob(w.FILE_ID.hex() + "*.layer"), *folder.glob("*.blocks")):
        good = file.read_bytes()
        passed = 0
        for at in range(len(good)):
            file.write_bytes(good[:at] + bytes([good[at] ^ 0x10]) + good[at + 1 :])
            try:
                File(path).check()
                passed += 1
            except FormatError:
                pass
        assert passed == 0, file.name
        for length in (0, 7, 64, 128, 191, len(good) - 1):
            file.write_bytes(good[:length])
            with pytest.raises(FormatError):
                File(path)
        file.write_bytes(good)
    (folder / f"{w.FILE_ID.hex()}.{1:020}.layer").unlink()
    with pytest.raises(FormatError, match="missing"):
        File(path)


def test_refusals(tmp_path):
    layer = w.Layer(0, W0)
    section = w.varint(1) + w.varint(77) + b"\1" + w.blob(b"")
    for number, (root, finish, error, match) in enumerate([
        ({}, {"flags": 1}, Unsupported, "flags"),
        ({}, {"major": 2}, Unsupported, "major"),
        ({"section": section}, {}, Unsupported, "section"),
    ]):  # fmt: skip
        layer = w.Layer(0, W0)
        path = tmp_path / f"{number}.af"
        path.write_bytes(layer.finish(w.root(layer, [], [entry(layer, 0)], **root), **finish))
        with pytest.raises(error, match=match):
            File(path)
    for data, match in ((b"", "not an"), (b"x" * 300, "not an"), (b"\x89ARF\r\n\x1a\n" + bytes(300), "truncated")):
        path.write_bytes(data)
        with pytest.raises(FormatError, match=match):
            File(path)


def test_chunk_columns_do_not_reach_beyond_blocks():
    block = (0, 0, 64, 10, 10, 0, 0, 0)
    for gap, length, good in ((0, 10, True), (10, 0, True), (1, 10, False), (2**64 - 1, 1, False), (0, 2**64 - 1, False)):
        data = w.coordinates([(1, (0,))]) + w.ints([1]) + w.block_list([block], [0]) + w.ints([1]) + w.ints([gap]) + w.ints([length])
        if good:
            assert len(list(read_table_2(Cursor(data), 1))) == 1
        else:
            with pytest.raises(FormatError):
                list(read_table_2(Cursor(data), 1))
