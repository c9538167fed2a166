"""Rows of the tables in the index pages (sections 5, 7, 9.5 and 10 of docs/format.md)."""

from dataclasses import dataclass

import numpy as np

from af_encoding import (
    BINARY, LIST, SCALARS, STRING, Cursor, ElementType, FormatError, Unsupported, check_filters, python_value, require,
    scalar_size, type_name, utf8,
)  # fmt: skip

NODES, CHUNKS, ATTRIBUTES, ARRAY_STATISTICS, CHUNK_STATISTICS, BLOCKS = 1, 2, 3, 4, 5, 6
DIRECTORY = 16


@dataclass(frozen=True)
class Value:
    """An attribute: its type's name and its bytes, a list of bytes for a list of strings or binaries."""

    code: int
    raw: bytes | list
    is_list: bool = False

    @property
    def type(self):
        return f"list<{type_name(self.code)}>" if self.is_list else type_name(self.code)

    @property
    def value(self):
        if not self.is_list:
            return python_value(self.code, self.raw)
        if self.code in (STRING, BINARY):
            return [python_value(self.code, item) for item in self.raw]
        return np.frombuffer(self.raw, SCALARS[self.code][1])

    def json(self):
        raw = [item.hex() for item in self.raw] if isinstance(self.raw, list) else self.raw.hex()
        return {"type": self.type, "value": raw}


@dataclass(frozen=True)
class Statistics:
    """`min` and `max` are Values, or None if unknown or absent; `rows`, `nulls`, `nans` are None if unknown."""

    version: int
    min: Value | None
    max: Value | None
    loose: bool
    rows: int | None
    nulls: int | None
    nans: int | None

    def json(self):
        bounds = {
            "type": self.min and self.min.type, "min": self.min and self.min.raw.hex(),
            "max": self.max and self.max.raw.hex(), "loose": self.loose,
        }  # fmt: skip
        return bounds | {"rows": self.rows, "nulls": self.nulls, "nans": self.nans}


@dataclass(frozen=True)
class Chunk:
    version: int
    block: object  # af_encoding.Block
    offset: int
    length: int


@dataclass(frozen=True)
class Schema:
    """Of an array (`etype` set) or a group (`unlimited` set)."""

    etype: ElementType | None
    dims: list
    chunk_shape: list | None = None
    nullable: bool = False
    fill: bytes | None = None
    filters: tuple = ()
    codec: tuple | None = None
    unlimited: tuple = ()


@dataclass(frozen=True)
class Node:
    kind: int
    version: int
    id: int
    schema: Schema
    attributes: list
    shape: list
    chunk: Chunk | None


def big_endian(*numbers):
    return b"".join(number.to_bytes(8, "big") for number in numbers)


def read_schema(data):
    cursor = Cursor(data)
    if data[:1] == b"\0":
        cursor.u8()
        dims = [cursor.str() for _ in range(_rank(cursor))]
        bits = cursor.take((len(dims) + 7) // 8)
        return Schema(None, dims, unlimited=tuple(bool(bits[i // 8] >> i % 8 & 1) for i in range(len(dims))))
    etype, flags = ElementType.read(cursor), cursor.u8()
    if flags & ~7:
        raise Unsupported(f"schema flags {flags}")
    dims = [cursor.str() for _ in range(_rank(cursor))]
    chunk_shape = [cursor.varint() for _ in dims] if flags & 2 else None
    require(chunk_shape is None or 0 not in chunk_shape, "chunk shape with a zero")
    fill = cursor.bytes() if flags & 4 else None
    if fill is not None and etype.fixed:
        require(len(fill) == etype.size, "fill value of another size")
    if fill is not None and etype.code == LIST:
        require(len(fill) % etype.dtype.itemsize == 0, "fill value with a part of an item")
    filters = tuple((cursor.varint(), cursor.bytes()) for _ in range(cursor.count()))
    check_filters(filters, etype.item)
    codec = (cursor.varint(), cursor.str(), cursor.bytes()) if cursor.u8() else None
    return Schema(etype, dims, chunk_shape, bool(flags & 1), fill, filters, codec)


def _rank(cursor):
    rank = cursor.varint()
    require(rank <= 32, "rank above 32")
    return rank


def read_chunks(cursor, blocks, indices, versions_first):
    """The columns chunk .. length that tables 1 and 2 share: a Chunk or None for every row.

    `versions_first` are the versions of all rows (table 2); if None a column of the rows with a chunk follows (table 1).
    """
    rows = [i for i, index in enumerate(indices) if index]
    gaps, lengths = cursor.integers(len(rows)), cursor.integers(len(rows))
    versions = [versions_first[i] for i in rows] if versions_first is not None else cursor.integers(len(rows))
    chunks, last, end = [None] * len(indices), None, 0
    for row, gap, length, version in zip(rows, gaps, lengths, versions):
        require(indices[row] <= len(blocks), "chunk in no block")
        block = blocks[indices[row] - 1]
        offset = (gap + (end if last == indices[row] else 0)) % (1 << 64)
        last, end = indices[row], offset + length
        require(end <= block.decoded, "chunk beyond its block")
        require(not block.frame or (offset, length) == (0, block.decoded), "chunk in a part of a framed block")
        chunks[row] = Chunk(version, block, offset, length)
    return chunks


def read_nodes(cursor, n):
    paths = cursor.front_coded(n)
    kinds, versions, ids, schema_of = (cursor.integers(n) for _ in range(4))
    schemas = [read_schema(cursor.bytes()) for _ in range(cursor.count())]
    key_set_of = cursor.integers(n)
    key_sets = [[cursor.str() for _ in range(cursor.count())] for _ in range(cursor.count())]
    for path, kind, schema, key_set in zip(paths, kinds, schema_of, key_set_of):
        require(kind in (0, 1, 2), f"node of kind {kind}")
        require(len(path) <= 32767 and b"\0" not in path, "bad path")
        require(path == b"" or b"" not in path.split(b"/"), "path with an empty part")
        require(not kind or (schema < len(schemas) and key_set < len(key_sets)), "node without schema or key set")
        require(not kind or (schemas[schema].etype is None) == (kind == 1), "schema of another kind of node")
    ranks = [len(schemas[schema].dims) if kind else 0 for kind, schema in zip(kinds, schema_of)]
    extents = iter(cursor.integers(sum(ranks)))
    shapes = [[next(extents) for _ in range(rank)] for rank in ranks]
    chunks = read_chunks(cursor, cursor.block_list(), cursor.integers(n), None)
    for i, path in enumerate(paths):
        node = None
        if kinds[i]:
            keys = key_sets[key_set_of[i]]
            node = Node(kinds[i], versions[i], ids[i], schemas[schema_of[i]], keys, shapes[i], chunks[i])
        yield path, (utf8(path), node)


def read_coordinates(cursor, n):
    ids, ranks = cursor.integers(n), cursor.integers(n)
    require(max(ranks, default=0) <= 32, "rank above 32")
    coordinates = [[] for _ in range(n)]
    for axis in range(max(ranks, default=0)):
        rows = [i for i in range(n) if ranks[i] > axis]
        for i, number in zip(rows, cursor.integers(len(rows))):
            coordinates[i].append(number)
    return [(node, tuple(at)) for node, at in zip(ids, coordinates)], cursor.integers(n)


def read_table_2(cursor, n):
    keys, versions = read_coordinates(cursor, n)
    chunks = read_chunks(cursor, cursor.block_list(), cursor.integers(n), versions)
    for (node, at), chunk in zip(keys, chunks):
        yield big_endian(node, *at), (node, at, chunk)


def read_value(cursor):
    code = cursor.u8()
    is_list, code = code >= 128, code & 127
    require(code in SCALARS or code in (STRING, BINARY), f"attribute of type {code}")
    if code in SCALARS:
        size = scalar_size(code)
        return Value(code, cursor.take(size * (cursor.varint() if is_list else 1)), is_list)
    raw = [cursor.bytes() for _ in range(cursor.count())] if is_list else cursor.bytes()
    if code == STRING:
        for item in raw if is_list else [raw]:
            utf8(item)
    return Value(code, raw, is_list)


def read_attributes(cursor, n):
    total = 0
    for _ in range(cursor.count()):
        name, count = cursor.bytes(), cursor.varint()
        require(1 <= len(name) <= 32767 and b"\0" not in name, "bad attribute name")
        ids, _versions, form = cursor.integers(count), cursor.integers(count), cursor.u8()
        if form == 0:
            code = cursor.u8()
            values = [Value(code, raw) for raw in cursor.plane_list(count, scalar_size(code))]
        else:
            require(form == 1, f"value column of form {form}")
            dictionary = [None] + [read_value(cursor) for _ in range(cursor.count())]
            indices = cursor.integers(count)
            require(max(indices, default=0) < len(dictionary), "value beyond the dictionary")
            values = [dictionary[index] for index in indices]
        total += count
        for node, value in zip(ids, values):
            yield name + b"\0" + big_endian(node), (node, utf8(name), value)
    require(total == n, "another count of attributes")


def read_statistics(cursor, versions):
    """Statistics columns: a Statistics, or None for a tombstone, for every row."""
    n = len(versions)
    flags = cursor.integers(n)
    with_bounds = [i for i in range(n) if flags[i] & 1]
    types = cursor.integers(len(with_bounds))
    bounds, counts = [(None, None)] * n, [(None, None, None)] * n
    for code in sorted(set(types)):
        rows = [row for row, its in zip(with_bounds, types) if its == code]
        if code in (STRING, BINARY):
            columns = cursor.strings(len(rows)), cursor.strings(len(rows))
        else:
            columns = [cursor.plane_list(len(rows), scalar_size(code)) for _ in range(2)]
        for row, low, high in zip(rows, *columns):
            bounds[row] = Value(code, low), Value(code, high)
    rows = [i for i in range(n) if flags[i] & 2]
    for row, *numbers in zip(rows, *(cursor.integers(len(rows)) for _ in range(3))):
        counts[row] = numbers
    for i in range(n):
        yield None if flags[i] & 128 else Statistics(versions[i], *bounds[i], bool(flags[i] & 4), *counts[i])


def read_array_statistics(cursor, n):
    ids, versions = cursor.integers(n), cursor.integers(n)
    for node, statistics in zip(ids, read_statistics(cursor, versions)):
        yield big_endian(node), (node, statistics)


def read_chunk_statistics(cursor, n):
    keys, versions = read_coordinates(cursor, n)
    for (node, at), statistics in zip(keys, read_statistics(cursor, versions)):
        yield big_endian(node, *at), (node, at, statistics)


def read_blocks(cursor, n):
    blocks = cursor.block_list()
    require(len(blocks) == n, "another count of blocks")
    for block in blocks:
        yield big_endian(block.number), block


READERS = {
    NODES: read_nodes, CHUNKS: read_table_2, ATTRIBUTES: read_attributes, ARRAY_STATISTICS: read_array_statistics,
    CHUNK_STATISTICS: read_chunk_statistics, BLOCKS: read_blocks,
}  # fmt: skip


def read_page(data, table):
    """Rows of a decoded page, as a list of (key, row)."""
    cursor = Cursor(data)
    require(cursor.u8() == table, "page of another table")
    n = cursor.varint()
    rows = list(READERS[table](cursor, n))
    cursor.bytes()  # extension
    cursor.end()
    require(len(rows) == n, "another count of rows")
    return rows


@dataclass(frozen=True)
class PageReference:
    owner: tuple
    offset: int
    stored: int
    decoded: int
    codec: int
    checksum: int
    rows: int
    first: bytes


@dataclass(frozen=True)
class Directory:
    table: int
    level: int
    pages: list
    last: bytes


def read_directory(data):
    cursor = Cursor(data)
    require(cursor.u8() == DIRECTORY, "not a directory")
    table, level, n, objects = cursor.u8(), cursor.u8(), cursor.varint(), cursor.object_list()
    if table not in READERS:
        raise FormatError(f"directory of table {table}")
    columns = [cursor.integers(n) for _ in range(7)]
    firsts, last = cursor.front_coded(n), cursor.bytes()
    cursor.bytes()  # extension
    cursor.end()
    require(all(owner < len(objects) for owner in columns[0]), "page in no object")
    pages = [PageReference(objects[owner], *rest) for owner, *rest in zip(*columns, firsts)]
    return Directory(table, level, pages, last)
