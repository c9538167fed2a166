"""A miniature writer for the tests of the reader, from docs/format.md as well. It shares no code with the reader
but the checksum, which a test holds against the known value."""

import struct

import lz4.block
import zstandard

from af_encoding import crc32c

FILE_ID = bytes(range(16))


def u32(v):
    return struct.pack("<I", v)


def varint(v):
    out = bytearray()
    while v >= 0x80:
        out.append(v & 0x7F | 0x80)
        v >>= 7
    return bytes(out) + bytes([v])


def zigzag(v):
    return varint((v << 1) ^ (v >> 63))


def blob(data):
    data = data.encode() if isinstance(data, str) else data
    return varint(len(data)) + data


def planes(raws, width):
    return b"".join(bytes(raw[k] for raw in raws) for k in range(width))


def ints(values, delta=False):
    """An integer column; plain, or delta."""
    values = list(values)
    if delta and values:
        steps = [(b - a) for a, b in zip(values, values[1:])]
        base = min(steps, default=0)
        head, numbers = b"\1" + varint(values[0]) + zigzag(base), [step - base for step in steps]
    else:
        base = min(values, default=0)
        head, numbers = b"\0" + varint(base), [v - base for v in values]
    width = (max(numbers, default=0).bit_length() + 7) // 8
    return head + bytes([width]) + planes([n.to_bytes(8, "little") for n in numbers], width)


def strings(values):
    return ints(map(len, values)) + b"".join(values)


def front(values):
    shared, rest, last = [], [], b""
    for value in values:
        n = 0
        while n < min(len(last), len(value)) and last[n] == value[n]:
            n += 1
        shared.append(n)
        rest.append(value[n:])
        last = value
    return ints(shared) + strings(rest)


def objects(keys):
    return varint(len(keys)) + b"".join(b"\0" + varint(k) if isinstance(k, int) else b"\1" + k for k in keys)


def block_list(blocks, keys):
    """Blocks are (object, number, offset, stored, decoded, frame, codec id, checksum)."""
    codecs = sorted({block[6] for block in blocks})
    out = objects(keys) + varint(len(codecs))
    out += b"".join(varint(c) + blob({0: "none", 1: "lz4", 2: "zstd"}[c]) + blob(b"\3" * (c == 2)) for c in codecs)
    rows = [(keys.index(b[0]), *b[1:6], codecs.index(b[6]), b[7]) for b in blocks]
    return out + varint(len(blocks)) + b"".join(ints(row[i] for row in rows) for i in range(8))


def compress(codec, data):
    if codec == 1:
        return lz4.block.compress(data, store_size=False)
    return zstandard.ZstdCompressor(write_content_size=True).compress(data) if codec == 2 else data


def frames(raw, mask, size, codec, filter_frame=lambda frame: frame):
    """Stored bytes of a framed block, and the checksum that it has."""
    before = [filter_frame(raw[i : i + size]) for i in range(0, len(raw), size)] + ([mask] if mask else [])
    stored = [compress(codec, frame) for frame in before]
    table = u32(len(before)) + b"".join(u32(len(s)) + u32(len(b)) + u32(crc32c(s)) for s, b in zip(stored, before))
    return table + b"".join(stored), crc32c(table)


class Layer:
    """Builds one layer (or, with number None, detached blocks) of a file."""

    def __init__(self, number, write_id, codec=2):
        self.number, self.write_id, self.codec = number, write_id, codec
        self.key = write_id if number is None else number
        self.data, self.blocks = bytearray(64), []

    def add(self, stored):
        self.data += stored
        return len(self.data) - len(stored)

    def block(self, codec, decoded):
        stored = compress(codec, decoded)
        entry = (self.key, len(self.blocks), self.add(stored), len(stored), len(decoded), 0, codec, crc32c(stored))
        self.blocks.append(entry)
        return entry

    def framed(self, codec, raw, mask, size, **kwargs):
        stored, checksum = frames(raw, mask, size, codec, **kwargs)
        entry = (self.key, len(self.blocks), self.add(stored), len(stored), len(raw) + len(mask), size, codec, checksum)
        self.blocks.append(entry)
        return entry

    def store(self, data, rows, first, codec=None):
        """A page; its reference as (object, offset, stored, decoded, codec, checksum, rows, first key)."""
        codec = self.codec if codec is None else codec
        stored = compress(codec, data)
        return self.key, self.add(stored), len(stored), len(data), codec, crc32c(stored), rows, first

    def page(self, table, keys, columns, **kwargs):
        return self.store(bytes([table]) + varint(len(keys)) + columns + blob(b"later"), len(keys), keys[0], **kwargs)

    def block_directory(self):
        if not self.blocks:
            return directory(6, [], b"")
        keys = [n.to_bytes(8, "big") for n in range(len(self.blocks))]
        return directory(6, [self.page(6, keys, block_list(self.blocks, [self.key]))], keys[-1])

    def finish(self, root, **kwargs):
        stored = compress(self.codec, root)
        at, kind = self.add(stored), self.number is None
        number = struct.pack("<Q", 2**64 - 1 if kind else self.number)
        header = b"\x89ARF\r\n\x1a\n" + struct.pack("<HHI", 1, 0, kind) + FILE_ID + number + self.write_id + bytes(4)
        self.data[:64] = header + u32(crc32c(header))
        end = struct.pack("<III", kwargs.get("flags", 0), 6, kind) + FILE_ID + self.write_id + number
        end += struct.pack("<QQQQII", len(self.data) + 128, at, len(stored), len(root), crc32c(stored), self.codec)
        end += bytes(20) + struct.pack("<HH", kwargs.get("major", 1), 7) + b"\x8aARFEND\n"
        return bytes(self.data) + u32(crc32c(end)) + end


def directory(table, pages, last, level=0):
    keys = sorted({page[0] for page in pages}, key=str)
    out = bytes([16, table, level]) + varint(len(pages)) + objects(keys)
    out += ints(keys.index(page[0]) for page in pages) + b"".join(ints(page[i] for page in pages) for i in range(1, 7))
    return out + front([page[7] for page in pages]) + blob(last) + blob(b"later")


def root(layer, runs, listed, time=-5, message="a message", cause=1, counts=(9, 1, 1), section=b""):
    """`listed`: (object, length, stored, decoded, live, write id); `runs`: lists of directories."""
    keys = [row[0] for row in listed]
    own = layer.block_directory()
    out = b"\x20" + varint(layer.number) + zigzag(time) + blob(message) + bytes([cause])
    out += b"".join(map(varint, counts)) + objects(keys)
    out += b"".join(ints(row[i] for row in listed) for i in range(1, 5)) + b"".join(row[5] for row in listed)
    out += varint(len(runs)) + b"".join(varint(len(run)) + b"".join(map(blob, run)) for run in runs) + blob(own)
    return out + (section or varint(1) + varint(77) + b"\0" + blob(b"skip me")) + blob(b"later")


def array_schema(etype, dims, nullable=False, chunk=None, fill=None, filters=()):
    out = etype + bytes([nullable | 2 * (chunk is not None) | 4 * (fill is not None)])
    out += varint(len(dims)) + b"".join(map(blob, dims)) + b"".join(map(varint, chunk or []))
    out += blob(fill) if fill is not None else b""
    out += varint(len(filters)) + b"".join(varint(f) + blob(p) for f, p in filters)
    return out + b"\1" + varint(2) + blob("zstd") + blob(b"\3") + b"future"


def group_schema(dims, unlimited):
    bits = sum(1 << i for i, flag in enumerate(unlimited) if flag)
    return b"\0" + varint(len(dims)) + b"".join(map(blob, dims)) + bits.to_bytes((len(dims) + 7) // 8, "little")


def _chunk_columns(chunks):
    """Columns gap and length of (block, offset, length), and the blocks."""
    blocks, gaps, last, end = [], [], None, 0
    for block, offset, length in chunks:
        if block not in blocks:
            blocks.append(block)
        gaps.append((offset - (end if block == last else 0)) % 2**64)
        last, end = block, offset + length
    return blocks, ints(gaps) + ints(length for _, _, length in chunks)


def node_page(layer, rows):
    """Rows: dicts path, kind, version, id, schema, keys, shape, chunk (block, offset, length) or None."""
    live = [row for row in rows if row["kind"]]
    schemas = sorted({row["schema"] for row in live})
    sets = sorted({tuple(sorted(row.get("keys", ()))) for row in live})
    chunks = [row["chunk"] for row in rows if row.get("chunk")]
    blocks, addresses = _chunk_columns(chunks)
    out = front([row["path"].encode() for row in rows]) + ints(row["kind"] for row in rows)
    out += ints(row["version"] for row in rows) + ints(row.get("id", 0) for row in rows)
    out += ints(schemas.index(row["schema"]) if row["kind"] else 0 for row in rows)
    out += varint(len(schemas)) + b"".join(map(blob, schemas))
    out += ints(sets.index(tuple(sorted(row.get("keys", ())))) if row["kind"] else 0 for row in rows)
    out += varint(len(sets)) + b"".join(varint(len(s)) + b"".join(map(blob, s)) for s in sets)
    out += ints(extent for row in rows for extent in row.get("shape", ()))
    out += block_list(blocks, sorted({b[0] for b in blocks}, key=str))
    out += ints(1 + blocks.index(row["chunk"][0]) if row.get("chunk") else 0 for row in rows) + addresses
    out += ints(row["version"] for row in rows if row.get("chunk"))
    return layer.page(1, [row["path"].encode() for row in rows], out)


def coordinates(keys):
    top = max((len(at) for _, at in keys), default=0)
    out = ints((node for node, _ in keys), delta=True) + ints(len(at) for _, at in keys)
    return out + b"".join(ints(at[a] for _, at in keys if len(at) > a) for a in range(top))


def cell_key(node, at):
    return b"".join(n.to_bytes(8, "big") for n in (node, *at))


def chunk_page(layer, rows, version):
    """Rows: (node, coordinates, (block, offset, length) or None)."""
    blocks, addresses = _chunk_columns([chunk for *_, chunk in rows if chunk])
    out = coordinates([row[:2] for row in rows]) + ints([version] * len(rows))
    out += block_list(blocks, sorted({b[0] for b in blocks}, key=str))
    out += ints(1 + blocks.index(chunk[0]) if chunk else 0 for *_, chunk in rows) + addresses
    return layer.page(2, [cell_key(*row[:2]) for row in rows], out)


def statistics_columns(rows):
    """Rows: dicts flags, and type, min, max, counts as the flags say."""
    bounded = [row for row in rows if row["flags"] & 1]
    out = ints(row["flags"] for row in rows) + ints(row["type"] for row in bounded)
    for code in sorted({row["type"] for row in bounded}):
        for which in ("min", "max"):
            raws = [row[which] for row in bounded if row["type"] == code]
            out += strings(raws) if code >= 32 else planes(raws, len(raws[0]))
    return out + b"".join(ints(row["counts"][i] for row in rows if row["flags"] & 2) for i in range(3))
