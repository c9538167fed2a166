"""A reader of array-format files, written from docs/format.md alone.

    python af_reader.py FILE [--version N] [--json] [--check]

It shows that the page suffices, and is for tests: it reads whole tables, and is not made for speed.
"""

import argparse
import hashlib
import itertools
import json
import math
import os
import re
from dataclasses import dataclass

import numpy as np

from af_encoding import (
    FILTER_NAMES, LIST, MAX_DECODED, Cursor, FormatError, Unsupported, crc32c, decode_chunk, decode_framed,
    decompress, require,
)  # fmt: skip
from af_tables import (
    ARRAY_STATISTICS, ATTRIBUTES, BLOCKS, CHUNK_STATISTICS, CHUNKS, NODES, read_directory, read_page,
)  # fmt: skip

MAGIC, END_MAGIC = b"\x89ARF\r\n\x1a\n", b"\x8aARFEND\n"
CAUSES = ("create", "commit", "compaction", "collection")


class StoredObject:
    """A layer or an object of detached blocks (section 3); its header, trailer and root are checked."""

    def __init__(self, path):
        self.path = path
        with open(path, "rb") as file:
            self.data = file.read()
        data = self.data
        if len(data) < 192 or data[-8:] != END_MAGIC:
            raise FormatError(f"{path}: " + ("truncated" if data[:8] == MAGIC else "not an array-format file"))
        trailer = Cursor(data[-128:])
        major = int.from_bytes(data[-12:-10], "little")
        if major != 1:
            raise Unsupported(f"{path}: major version {major}")
        require(trailer.u32() == crc32c(data[-124:]), f"{path}: damaged trailer")
        required_flags, self.optional_flags = trailer.u32(), trailer.u32()
        if required_flags:
            raise Unsupported(f"{path}: required feature flags {required_flags:#x}")
        self.kind, self.file_id, self.write_id = trailer.u32(), trailer.take(16), trailer.take(16)
        self.number, length, root_at, root_stored, root_decoded = (
            int.from_bytes(trailer.take(8), "little") for _ in range(5)
        )
        root_checksum, root_codec = trailer.u32(), trailer.u32()
        require(length == len(data), f"{path}: {len(data)} bytes, the trailer says {length}")

        header = Cursor(data[:64])
        require(header.take(8) == MAGIC, f"{path}: no magic at the start")
        require(int.from_bytes(data[60:64], "little") == crc32c(data[:60]), f"{path}: damaged header")
        require(int.from_bytes(data[8:10], "little") == 1, f"{path}: another major version in the header")
        same = (self.kind.to_bytes(4, "little"), self.file_id, self.number.to_bytes(8, "little"), self.write_id)
        require(data[12:56] == b"".join(same), f"{path}: header and trailer differ")
        require(self.kind in (0, 1), f"{path}: object kind {self.kind}")
        self.root = self.unpack(root_at, root_stored, root_decoded, root_codec, root_checksum)

    def slice(self, offset, length, checksum=None):
        require(64 <= offset <= offset + length <= len(self.data) - 128, f"{self.path}: {length} bytes at {offset}")
        data = self.data[offset : offset + length]
        require(checksum is None or crc32c(data) == checksum, f"{self.path}: damaged bytes at {offset}")
        return data

    def unpack(self, offset, stored, decoded, codec, checksum):
        """The decoded bytes of a page or root."""
        require(decoded <= MAX_DECODED and codec in (0, 2), f"{self.path}: page or root of codec {codec}")
        return decompress(codec, self.slice(offset, stored, checksum), decoded)


@dataclass(frozen=True)
class ListedObject:
    key: tuple  # ("layer", number) or ("blocks", id in hex)
    length: int  # 0: the root's own layer
    stored: int
    decoded: int
    live: int
    write_id: bytes


class Root:
    """Section 6."""

    def __init__(self, data):
        cursor = Cursor(data)
        require(cursor.u8() == 32, "no root")
        self.version, self.time, self.message, cause = cursor.varint(), cursor.zigzag(), cursor.str(), cursor.u8()
        require(cause < 4, f"cause {cause}")
        self.cause = CAUSES[cause]
        self.next_node_id, self.arrays, self.groups = cursor.varint(), cursor.varint(), cursor.varint()
        keys = cursor.object_list()
        columns = [cursor.integers(len(keys)) for _ in range(4)]
        self.objects = [ListedObject(*row, cursor.take(16)) for row in zip(keys, *columns)]
        self.runs = []
        for _ in range(cursor.count()):
            directories = [read_directory(cursor.bytes()) for _ in range(cursor.count())]
            run = {directory.table: directory for directory in directories}
            require(len(run) == len(directories) and BLOCKS not in run, "run with two directories of a table")
            self.runs.append(run)
        self.own_blocks = read_directory(cursor.bytes())
        require(self.own_blocks.table == BLOCKS, "own blocks in another table")
        self.floor, self.tags, self.ancestors = 0, {}, []
        for _ in range(cursor.count()):
            number, required, data = cursor.varint(), cursor.u8(), Cursor(cursor.bytes())
            if number == 1:
                self.floor = data.varint()
            elif number == 2:
                tags = [(data.str(), data.varint()) for _ in range(data.count())]
                self.tags = dict(tags)
                require([name for name, _ in tags] == sorted(self.tags, key=str.encode), "tags out of order")
            elif number == 3:
                self.ancestors = [data.take(16).hex() for _ in range(data.count())]
                require(len(self.ancestors) <= 64, "too many ancestors")
            elif required:
                raise Unsupported(f"required section {number}")
        cursor.bytes()  # extension
        cursor.end()

    def keeps(self, version):
        """Whether a version is one of the file, as this root, the newest, has it (section 11)."""
        return version in {self.version, *self.tags.values()} or self.floor <= version <= self.version


class File:
    """A version of the file at `path`, the newest unless `version` is given."""

    def __init__(self, path, version=None):
        self.path = os.fspath(path)
        for last in (False, False, True):
            try:
                return self._open(version)
            except FileNotFoundError:  # a compaction took it away after the listing: begin again
                if last:
                    raise

    def _open(self, version):
        folder = self.path + ".layers"
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []  # before the base is read (section 11)
        self._base, self._objects, self._blocks, self._tables = StoredObject(self.path), {}, {}, {}
        require(self._base.kind == 0, "the base is no layer")
        pattern = re.compile(self._base.file_id.hex() + r"\.(?:([0-9]{20})\.layer|([0-9a-f]{32})\.blocks)")
        found = [match for name in names if (match := pattern.fullmatch(name))]
        self._paths = {
            ("layer", int(m[1])) if m[1] else ("blocks", m[2]): os.path.join(folder, m[0]) for m in found
        } | {("layer", self._base.number): self.path}
        newest = max(number for kind, number in self._paths if kind == "layer")
        self.newest = max(newest, self._base.number)
        self.version = self.newest if version is None else version
        if ("layer", self.version) not in self._paths:
            raise KeyError(f"no version {self.version}")
        if not Root(self._object(("layer", self.newest)).root).keeps(self.version):
            raise KeyError(f"version {self.version} was given up")
        layer = self._object(("layer", self.version))
        self.root = Root(layer.root)
        require(self.root.version == self.version, "root of another version")
        for listed in self.root.objects:
            if listed.key not in self._paths:
                raise FormatError(f"object {listed.key} is missing")
            found = self._object(listed.key)
            require(found.write_id == listed.write_id, f"object {listed.key} is another one")
            own = found is layer
            require((listed.length or len(found.data) * own) == len(found.data), f"object {listed.key} has another length")
        self._listed = {listed.key for listed in self.root.objects}
        require(("layer", self.version) in self._listed, "the root does not list its own layer")

    def _object(self, key):
        if key not in self._objects:
            found = self._base if key == ("layer", self._base.number) else StoredObject(self._paths[key])
            require(found.file_id == self._base.file_id, f"{found.path}: another file id")
            require(found.kind == (key[0] == "blocks"), f"{found.path}: another kind")
            require(found.kind or found.number == key[1], f"{found.path}: another layer number")
            self._objects[key] = found
        return self._objects[key]

    def versions(self):
        """Numbers of the versions that can be read: their layer is there, and all objects that its root lists."""
        newest, numbers = Root(self._object(("layer", self.newest)).root), []
        for number in sorted(number for kind, number in self._paths if kind == "layer"):
            root = Root(self._object(("layer", number)).root)
            if newest.keeps(number) and (number == self.newest or all(listed.key in self._paths for listed in root.objects)):
                numbers.append(number)
        return numbers

    # -- tables --

    def _pages(self, directory, allowed):
        """All rows below a directory, as (key, row), with the order and the references checked."""
        last = None
        for page in directory.pages:
            require(page.owner in allowed, f"page in {page.owner}, which the root does not list")
            data = self._object(page.owner).unpack(page.offset, page.stored, page.decoded, page.codec, page.checksum)
            if directory.level:
                below = read_directory(data)
                require((below.table, below.level) == (directory.table, directory.level - 1), "directory of another level")
                rows = list(self._pages(below, allowed))
            else:
                rows = read_page(data, directory.table)
            require(len(rows) == page.rows, "another count of rows")
            for index, (key, row) in enumerate(rows):
                require(index or key == page.first, "another first key")
                require(last is None or last < key, "keys out of order")
                last = key
                yield key, row
        require((last or b"") == directory.last, "another last key")

    def _table(self, table):
        """The rows of all runs; of a key the first run decides."""
        if table not in self._tables:
            merged = {}
            for run in self.root.runs:
                if table in run:
                    for key, row in self._pages(run[table], self._listed):
                        merged.setdefault(key, row)
            self._tables[table] = [merged[key] for key in sorted(merged)]
        return self._tables[table]

    def _nodes(self):
        """Path to Node, sorted by the bytes of the path."""
        return {path: node for path, node in self._table(NODES) if node}

    # -- what the file holds --

    def arrays(self):
        return [path for path, node in self._nodes().items() if node.kind == 2]

    def groups(self):
        """Groups with a row, and the parts of paths; without the root group."""
        nodes = self._nodes()
        groups = {path for path, node in nodes.items() if node.kind == 1 and path}
        for path in nodes:
            groups.update(path[:at] for at, letter in enumerate(path) if letter == "/")
        require(not groups.intersection(self.arrays()), "an array's path is a group's")
        return sorted(groups, key=str.encode)

    def array(self, path):
        node = self._nodes().get(path)
        if not node or node.kind != 2:
            raise KeyError(path)
        return Array(self, path, node)

    def group(self, path=""):
        if path and path not in self.groups():
            raise KeyError(path)
        return Group(self, path, self._nodes().get(path))

    def footer(self):
        root = self.root
        objects = [
            {key[0]: key[1]} | {"stored": o.stored, "decoded": o.decoded, "live": o.live}
            for o in root.objects
            for key in [o.key]
        ]
        return {
            "time": root.time, "message": root.message, "cause": root.cause, "next_node_id": root.next_node_id,
            "arrays": root.arrays, "groups": root.groups, "objects": objects,
            "sections": {"floor": root.floor, "tags": root.tags, "ancestors": root.ancestors},
        }  # fmt: skip

    def _attributes(self, node):
        if not node:
            return {}
        if "attributes" not in self._tables:
            self._tables["attributes"] = {(id, name): value for id, name, value in self._table(ATTRIBUTES)}
        values = {name: self._tables["attributes"].get((node.id, name)) for name in node.attributes}
        require(None not in values.values(), "a name of the key set has no attribute")
        return values

    # -- blocks --

    def _stored_block(self, block):
        require(block.owner in self._listed, f"block in {block.owner}, which the root does not list")
        # the checksum of a framed block covers its table only, and is checked with it
        return self._object(block.owner).slice(block.offset, block.stored, None if block.frame else block.checksum)

    def chunk_values(self, chunk, count, schema):
        """Values and validity of a chunk of `count` elements."""
        block = chunk.block
        if block.frame:
            stored = self._stored_block(block)
            return decode_framed(stored, block, count, schema.etype, schema.filters, schema.nullable)
        key = block.owner, block.number
        if key not in self._blocks:
            self._blocks[key] = decompress(block.codec[0], self._stored_block(block), block.decoded, block.codec[2])
        raw = self._blocks[key][chunk.offset : chunk.offset + chunk.length]
        return decode_chunk(raw, count, schema.etype, schema.filters, schema.nullable)

    def check(self):
        """Read everything, and compare what is recorded twice."""
        require(len(self.arrays()) == self.root.arrays, "another count of arrays")
        tables, live, spans = {}, {key: 0 for key in self._listed}, {}
        for listed in self.root.objects:
            found = self._object(listed.key)
            if found.kind:
                cursor = Cursor(found.root)
                require(cursor.u8() == 33, "no root of a detached layer")
                begun, *sums = cursor.varint(), cursor.varint(), cursor.varint()
                require(begun < self.version and sums == [listed.stored, listed.decoded], "root of a detached layer")
                directory = read_directory(cursor.bytes())
                for _ in range(cursor.count()):  # what the worker wanted committed
                    list(self._pages(read_directory(cursor.bytes()), {listed.key}))
                cursor.bytes(), cursor.end()
            else:
                directory = Root(found.root).own_blocks
            blocks = [row for _, row in self._pages(directory, {listed.key})]
            require(all(block.owner == listed.key for block in blocks), "block table of another object")
            require([block.number for block in blocks] == list(range(len(blocks))), "gaps in the block numbers")
            for block in blocks:  # dead ones, too
                found.slice(block.offset, block.stored, None if block.frame else block.checksum)
            sums = sum(block.stored for block in blocks), sum(block.decoded for block in blocks)
            require(sums == (listed.stored, listed.decoded), f"other sums of the blocks of {listed.key}")
            tables[listed.key] = blocks
        for path in self.arrays():
            array = self.array(path)
            array.values(), array.attributes(), array.statistics(), array.chunk_statistics()
            for chunk in array.chunks().values():
                block = chunk.block
                require(block.number < len(tables[block.owner]), "no such block in its object")
                require(block == tables[block.owner][block.number], "block differs from the block table")
                live[block.owner] += chunk.length
                spans.setdefault((block.owner, block.number), []).append((chunk.offset, chunk.length))
        for listed in self.root.objects:
            require(live[listed.key] == listed.live, f"other live bytes of {listed.key}: {live[listed.key]}")
        for block in map(sorted, spans.values()):
            for (offset, length), (following, _) in itertools.pairwise(block):
                require(offset + length <= following, "chunks overlap")
        for path in ["", *self.groups()]:
            self.group(path).attributes()
        return True


class Group:
    def __init__(self, file, path, node):
        self._file, self.path, self._node = file, path, node

    def attributes(self):
        return self._file._attributes(self._node)

    def dimensions(self):
        """A list of (name, length, unlimited)."""
        return list(zip(self._node.schema.dims, self._node.shape, self._node.schema.unlimited)) if self._node else []


class Array:
    def __init__(self, file, path, node):
        self._file, self.path, self._node, self.schema = file, path, node, node.schema
        self.dtype, self.dims, self.shape = node.schema.etype.name, tuple(node.schema.dims), tuple(node.shape)
        self.nullable, self.filters, self.fill_bytes = node.schema.nullable, node.schema.filters, node.schema.fill
        self.chunk_shape = None if node.schema.chunk_shape is None else tuple(node.schema.chunk_shape)
        require(math.prod(self.shape) < 1 << 64, "more than 2^64 - 1 elements")

    @property
    def grid(self):
        """Cells of every dimension."""
        chunk = self.chunk_shape or [max(extent, 1) for extent in self.shape]
        return tuple(-(-extent // size) for extent, size in zip(self.shape, chunk))

    def _in_grid(self, at):
        return len(at) == len(self.grid) and all(k < cells for k, cells in zip(at, self.grid))

    def chunks(self):
        """Coordinates to Chunk, of the chunks that are written."""
        cells = math.prod(self.grid)
        if cells == 1:
            return {(0,) * len(self.shape): self._node.chunk} if self._node.chunk else {}
        if cells == 0:
            return {}
        rows = self._file._table(CHUNKS)
        return {at: chunk for node, at, chunk in rows if node == self._node.id and chunk and self._in_grid(at)}

    @property
    def fill(self):
        """The fill value as numpy or Python value, or None."""
        return None if self.fill_bytes is None else self._fill(self.fill_bytes)

    def _fill(self, raw):
        etype = self.schema.etype
        if not etype.fixed:
            return etype.element(raw)
        return np.frombuffer(raw, etype.dtype).reshape(etype.tail)[()]

    def values(self):
        """(values, validity or None); a fixed list is one more axis; nulls are zero or empty."""
        etype = self.schema.etype
        if etype.fixed:
            values = np.empty(self.shape + etype.tail, etype.dtype)
            values[...] = self._fill(self.fill_bytes or bytes(etype.size))
        else:
            values = np.empty(self.shape, object)
            for i in range(values.size):
                values.flat[i : i + 1] = _object_array([self._fill(self.fill_bytes or b"")])
        valid = np.full(self.shape, self.fill_bytes is not None) if self.nullable else None
        for at, chunk in self.chunks().items():
            size = self.chunk_shape or self.shape
            place = tuple(slice(k * c, min((k + 1) * c, s)) for k, c, s in zip(at, size, self.shape))
            shape = tuple(s.stop - s.start for s in place)
            part, mask = self._file.chunk_values(chunk, math.prod(shape), self.schema)
            values[place or ...] = part.reshape(shape + etype.tail)
            if self.nullable:
                valid[place or ...] = mask.reshape(shape)
        return values, valid

    def read(self):
        """The values; a masked array if the array has a validity mask. bf16 is read as its bits (u16)."""
        values, valid = self.values()
        if valid is None:
            return values
        mask = ~valid.reshape(valid.shape + (1,) * (values.ndim - valid.ndim))
        return np.ma.MaskedArray(values, np.broadcast_to(mask, values.shape))

    def statistics(self):
        """Of all written chunks, or None if there are none."""
        return dict(self._file._table(ARRAY_STATISTICS)).get(self._node.id)

    def chunk_statistics(self):
        """Coordinates to Statistics, for arrays of more than one chunk."""
        rows = self._file._table(CHUNK_STATISTICS)
        if math.prod(self.grid) < 2:
            return {}
        return {at: found for node, at, found in rows if node == self._node.id and found and self._in_grid(at)}

    def attributes(self):
        """Name to Value (.type, .value)."""
        return self._file._attributes(self._node)


def _object_array(elements):
    out = np.empty(len(elements), object)
    for i, element in enumerate(elements):
        out[i] = element
    return out


# -- description in the schema of fixtures/v1/README.md ------------------------------------------


def element_bytes(etype, element):
    return element.encode() if isinstance(element, str) else bytes(element) if etype.code != LIST else element.tobytes()


def describe_array(array):
    values, valid = array.values()
    etype = array.schema.etype
    raw = values.tobytes().hex() if etype.fixed else [element_bytes(etype, v).hex() for v in values.flat]
    statistics = array.statistics()
    return {
        "type": array.dtype,
        "dims": list(array.dims),
        "shape": list(array.shape),
        "chunk_shape": None if array.chunk_shape is None else list(array.chunk_shape),
        "nullable": array.nullable,
        "fill": None if array.fill_bytes is None else array.fill_bytes.hex(),
        "filters": [{"filter": FILTER_NAMES[number], "parameters": parameters.hex()} for number, parameters in array.filters],
        "values": raw,
        "validity": None if valid is None else "".join("01"[int(bit)] for bit in valid.flat),
        "attributes": {name: value.json() for name, value in array.attributes().items()},
        "statistics": statistics and statistics.json(),
        "chunk_statistics": [{"at": list(at)} | found.json() for at, found in sorted(array.chunk_statistics().items())],
    }


def describe(file):
    """Everything in a version, as fixtures/v1/README.md says."""
    groups = {path: file.group(path) for path in ["", *file.groups()]}
    footer = file.footer()
    head = {"version": file.version} | {key: footer.pop(key) for key in ("time", "message", "cause")}
    return head | {
        "footer": footer,
        "groups": {
            path: {
                "dims": [{"name": n, "length": length, "unlimited": u} for n, length, u in group.dimensions()],
                "attributes": {name: value.json() for name, value in group.attributes().items()},
            }
            for path, group in groups.items()
        },
        "arrays": {path: describe_array(file.array(path)) for path in file.arrays()},
    }


def main():
    parser = argparse.ArgumentParser(description="Shows what is in an array-format file.")
    parser.add_argument("file")
    parser.add_argument("--version", type=int, help="default: the newest")
    parser.add_argument("--json", action="store_true", help="everything, in the schema of fixtures/v1/README.md")
    parser.add_argument("--check", action="store_true", help="read everything, and check what is recorded twice")
    options = parser.parse_args()
    file = File(options.file, options.version)
    if options.check:
        file.check()
    if options.json:
        print(json.dumps(describe(file), indent=1))
        return
    root = file.root
    print(f"version {file.version} of {file.versions()}: {root.cause}, {root.time} ms, {root.message!r}")
    for path in file.groups():
        print(f"{path}/  {len(file.group(path).attributes())} attributes")
    for path in file.arrays():
        array = file.array(path)
        digest = hashlib.sha256(json.dumps(describe_array(array)["values"]).encode()).hexdigest()[:16]
        print(f"{path}  {array.dtype}  {list(array.shape)}  chunks {array.chunk_shape}  values {digest}")


if __name__ == "__main__":
    main()
