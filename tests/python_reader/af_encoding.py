"""The encodings below the objects: checksum, numbers, columns, element types, codecs and filters.

Written from docs/format.md alone; the section numbers are those of that page.
"""

from dataclasses import dataclass

import lz4.block
import numpy as np
import zstandard

MAX_DECODED = 1 << 28  # bytes of a page or root; taken for a bound of the values of a column, too
MASK64 = (1 << 64) - 1


class FormatError(Exception):
    """The bytes are not what the page says."""


class Unsupported(FormatError):
    """The bytes ask for something that this reader does not know."""


def require(condition, message):
    if not condition:
        raise FormatError(message)


# -- checksum (section 1) ------------------------------------------------------------------------


def _crc_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_TABLE = _crc_table()


def crc32c_by_table(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


try:
    from crc32c import crc32c  # the same, fast
except ImportError:
    crc32c = crc32c_by_table


# -- numbers and columns (sections 1, 4) ---------------------------------------------------------


class Cursor:
    """Reads one number or column after the other; never beyond the end."""

    def __init__(self, data):
        self.data, self.at = bytes(data), 0

    def take(self, size):
        require(size <= len(self.data) - self.at, f"{size} bytes wanted, {len(self.data) - self.at} left")
        self.at += size
        return self.data[self.at - size : self.at]

    def end(self):
        require(self.at == len(self.data), f"{len(self.data) - self.at} bytes too many")

    def u8(self):
        return self.take(1)[0]

    def u32(self):
        return int.from_bytes(self.take(4), "little")

    def varint(self):
        value = 0
        for shift in range(0, 70, 7):
            byte = self.u8()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                require(value <= MASK64, "varint of more than 64 bits")
                return value
        raise FormatError("varint of more than 10 bytes")

    def zigzag(self):
        value = self.varint()
        return value >> 1 ^ -(value & 1)

    def bytes(self):
        return self.take(self.varint())

    def str(self):
        return utf8(self.bytes())

    def count(self):
        """A number of things of at least one byte each."""
        count = self.varint()
        require(count <= len(self.data) - self.at, "count beyond the bytes")
        return count

    def planes(self, count, width):
        """`count` values of `width` bytes each, as one run of bytes."""
        require(count <= MAX_DECODED, "too many values")
        raw = np.frombuffer(self.take(count * width), np.uint8)
        return raw.reshape(width, count).T.tobytes()

    def plane_list(self, count, width):
        raw = self.planes(count, width)
        return [raw[i * width : (i + 1) * width] for i in range(count)]

    def integers(self, count):
        """An integer column, as a list of Python integers."""
        require(count <= MAX_DECODED, "too many values")
        form = self.u8()
        require(form in (0, 1), f"integer column of form {form}")
        require(form == 0 or count > 0, "delta column without values")
        first = self.varint() if form else 0
        base = self.zigzag() & MASK64 if form else self.varint()
        width = self.u8()
        require(width <= 8, f"planes of {width} bytes")
        numbers = count - form
        wide = np.zeros((numbers, 8), np.uint8)
        if width:
            wide[:, :width] = np.frombuffer(self.planes(numbers, width), np.uint8).reshape(numbers, width)
        values = wide.view("<u8").reshape(numbers) + np.uint64(base)
        if form:
            values = np.cumsum(np.concatenate([np.array([first], np.uint64), values]), dtype=np.uint64)
        return values.tolist()

    def strings(self, count):
        """A bytes column."""
        return [self.take(length) for length in self.integers(count)]

    def front_coded(self, count):
        shared, values, last = self.integers(count), [], b""
        for length, rest in zip(shared, self.strings(count)):
            require(length <= len(last), "front coding beyond the previous value")
            last = last[:length] + rest
            values.append(last)
        return values

    def object_list(self):
        """A list of ("layer", number) and ("blocks", id in hex)."""
        objects = []
        for _ in range(self.count()):
            kind = self.u8()
            require(kind in (0, 1), f"object of kind {kind}")
            objects.append(("blocks", self.take(16).hex()) if kind else ("layer", self.varint()))
        return objects

    def codec_list(self):
        return [(self.varint(), self.str(), self.bytes()) for _ in range(self.count())]

    def block_list(self):
        objects, codecs, count = self.object_list(), self.codec_list(), self.varint()
        columns = [self.integers(count) for _ in range(8)]
        blocks = []
        for owner, number, offset, stored, decoded, frame, codec, checksum in zip(*columns):
            require(owner < len(objects) and codec < len(codecs), "block without object or codec")
            require(frame <= 1 << 30 and decoded <= (1 << 63 if frame else MASK64 >> 32), "block beyond the limits")
            blocks.append(Block(objects[owner], number, offset, stored, decoded, frame, codecs[codec], checksum))
        return blocks


@dataclass(frozen=True)
class Block:
    owner: tuple
    number: int
    offset: int
    stored: int
    decoded: int
    frame: int
    codec: tuple
    checksum: int


def utf8(data):
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise FormatError(f"not UTF-8: {error}") from None


# -- element types (section 8) -------------------------------------------------------------------

_UNITS = ("s", "ms", "us", "ns")
# code: name, numpy type, numpy type of a lane
SCALARS = {
    1: ("bool", "?", "u1"), 2: ("i8", "i1", "i1"), 3: ("i16", "<i2", "<i2"), 4: ("i32", "<i4", "<i4"),
    5: ("i64", "<i8", "<i8"), 6: ("u8", "u1", "u1"), 7: ("u16", "<u2", "<u2"), 8: ("u32", "<u4", "<u4"),
    9: ("u64", "<u8", "<u8"), 10: ("f16", "<f2", "<f2"), 11: ("bf16", "<u2", "<u2"), 12: ("f32", "<f4", "<f4"),
    13: ("f64", "<f8", "<f8"), 14: ("complex64", "<c8", "<f4"), 15: ("complex128", "<c16", "<f8"),
    **{16 + i: (f"timestamp[{unit}]", f"<M8[{unit}]", "<i8") for i, unit in enumerate(_UNITS)},
    **{20 + i: (f"duration[{unit}]", f"<m8[{unit}]", "<i8") for i, unit in enumerate(_UNITS)},
}  # fmt: skip
STRING, BINARY, FIXED_LIST, LIST = 32, 33, 40, 41
_FLOATS, _COMPLEX = (10, 11, 12, 13, 14, 15), (14, 15)


def scalar_size(code):
    require(code in SCALARS, f"no scalar type has code {code}")
    return np.dtype(SCALARS[code][1]).itemsize


def type_name(code):
    """Name of a scalar type, string or binary."""
    if code in (STRING, BINARY):
        return "string" if code == STRING else "binary"
    require(code in SCALARS, f"unknown type {code}")
    return SCALARS[code][0]


def python_value(code, raw):
    """Bytes of one scalar, string or binary as a Python or numpy value (bf16 as its bits)."""
    if code in (STRING, BINARY):
        return utf8(raw) if code == STRING else raw
    return np.frombuffer(raw, SCALARS[code][1])[0]


@dataclass(frozen=True)
class ElementType:
    code: int
    item: int | None  # code of what numpy sees; None for string and binary
    items: int | None  # of a fixed list

    @classmethod
    def read(cls, cursor):
        code = cursor.u8()
        if code in (FIXED_LIST, LIST):
            item, items = cursor.u8(), cursor.varint() if code == FIXED_LIST else None
        else:
            item, items = (None if code in (STRING, BINARY) else code), None
        if not (item in SCALARS or code in (STRING, BINARY)):
            raise Unsupported(f"element type {code}, items {item}")
        require(items is None or items <= 1 << 24, "fixed list of too many items")
        return cls(code, item, items)

    @property
    def name(self):
        if self.code == FIXED_LIST:
            return f"list<{type_name(self.item)}; {self.items}>"
        return f"list<{type_name(self.item)}>" if self.code == LIST else type_name(self.code)

    @property
    def fixed(self):
        return self.code not in (STRING, BINARY, LIST)

    @property
    def dtype(self):
        """Of the items, or object for string and binary."""
        return np.dtype(object if self.item is None else SCALARS[self.item][1])

    @property
    def tail(self):
        """Axes that an element adds to the array."""
        return (self.items,) if self.code == FIXED_LIST else ()

    @property
    def size(self):
        """Bytes of an element of fixed size."""
        return self.dtype.itemsize * (self.items if self.code == FIXED_LIST else 1)

    @property
    def lane(self):
        return np.dtype(SCALARS[self.item][2])

    def element(self, raw):
        """One element of a type of variable size."""
        return python_value(self.code, raw) if self.item is None else np.frombuffer(raw, self.dtype)


# -- codecs and filters (section 9.4) ------------------------------------------------------------


def decompress(codec, data, length, parameters=b""):
    """Decode a run of bytes, which must give exactly `length` bytes."""
    if codec == 3:
        out = _numbers(data, length, parameters)
    elif codec == 0:
        out = data
    elif codec == 1:
        try:
            out = lz4.block.decompress(data, uncompressed_size=length)
        except lz4.block.LZ4BlockError as error:
            raise FormatError(f"lz4: {error}") from None
    elif codec == 2:
        try:
            frame = zstandard.get_frame_parameters(data)
            unknown = frame.content_size == zstandard.CONTENTSIZE_UNKNOWN
            require(frame.dict_id == 0, "zstd: dictionary")
            require(unknown or frame.content_size == length, "zstd: another length than recorded")
            require(frame.window_size <= max(8 << 20, length), "zstd: window")
            out = zstandard.ZstdDecompressor().decompress(data, max_output_size=max(length, 1), allow_extra_data=False)
        except zstandard.ZstdError as error:
            raise FormatError(f"zstd: {error}") from None
    else:
        raise Unsupported(f"codec {codec}")
    require(len(out) == length, f"{len(out)} bytes decoded, {length} recorded")
    return out


def _numbers(data, length, parameters):
    """Numbers of one type through filters and another codec."""
    c = Cursor(parameters)
    item = c.u8()
    require(item in SCALARS, f"codec numbers of type {item}")
    etype = ElementType(item, item, None)
    require(length % etype.size == 0, "codec numbers: not whole elements")
    filters = [(c.varint(), c.bytes()) for _ in range(c.varint())]
    inner = c.varint()
    c.bytes()
    c.end()
    check_filters(filters, etype.item)
    require(all(number != 3 for number, _ in filters), "codec numbers with bit rounding")
    require(inner in (0, 1, 2), f"codec {inner} inside of codec numbers")
    pco = bool(filters) and filters[-1][0] == 4
    require(inner == 0 or not pco, "something compressed after pco")
    return undo_filters(data if pco else decompress(inner, data, length), filters, etype, length)


FILTER_NAMES = {1: "shuffle", 2: "delta", 3: "bit_rounding", 4: "pco", 5: "decimal"}


def check_filters(filters, item):
    """Refuse a list of filters (id, parameters) that breaks the rules."""
    require(len(filters) <= 8, "more than 8 filters")
    require(not filters or item is not None, "filters of a type without items")
    integers = filters[:1] and filters[0][0] == 5
    for place, (number, parameters) in enumerate(filters):
        last = place == len(filters) - 1
        if number == 1:
            allowed = last and parameters == b""
        elif number == 2:
            allowed = parameters == b"" and item != 1 and (item not in _FLOATS or integers)
        elif number == 3:
            bits = {10: 10, 11: 7, 12: 23, 13: 52, 14: 23, 15: 52}.get(item, 0)
            allowed = place == 0 and len(parameters) == 1 and 1 <= parameters[0] <= bits
        elif number == 4:
            allowed = last and len(parameters) == 1 and parameters[0] <= 12 and item not in (1, 11)
        elif number == 5:
            allowed = place == 0 and len(parameters) == 1 and parameters[0] <= {12: 10, 13: 22}.get(item, -1)
        else:
            raise Unsupported(f"filter {number}")
        require(allowed, f"filter {FILTER_NAMES[number]} with {parameters.hex() or 'no parameters'} at place {place}")


def undo_filters(data, filters, etype, length):
    """The values before the filters: `length` bytes."""
    if not filters:
        require(len(data) == length, "another length of the values")
        return data
    lane = etype.lane
    lanes = length // lane.itemsize
    integers = np.dtype(f"<i{lane.itemsize}")
    for number, parameters in reversed(filters):
        if number == 4:
            after_decimal = filters[0][0] == 5
            data = _undo_pco(data, integers if after_decimal else lane, lanes, etype.item in _COMPLEX)
        require(len(data) == length, "another length of the values")
        if number == 1:
            data = np.frombuffer(data, np.uint8).reshape(lane.itemsize, lanes).T.tobytes()
        elif number == 2:
            data = np.cumsum(np.frombuffer(data, f"<u{lane.itemsize}"), dtype=f"<u{lane.itemsize}").tobytes()
        elif number == 5:
            data = _undo_decimal(np.frombuffer(data, integers), lane, parameters[0])
    return data


def _undo_decimal(codes, lane, digits):
    bits, most = np.dtype(f"<u{lane.itemsize}"), {4: 1 << 23, 8: 1 << 50}[lane.itemsize]

    def decimal(k):
        return (k.astype(lane) / lane.type(10**digits)).astype(lane).view(bits)

    shifted = codes.view(bits) + bits.type(most)
    with np.errstate(all="ignore"):  # infinities, NaN, numbers that are too large: no decimals
        nearest = np.rint(shifted.view(lane).astype("<f8") * float(10**digits))
    nearest = np.where(np.abs(nearest) < most, nearest, 0).astype(codes.dtype)
    swapped = decimal(nearest) == shifted
    others = np.where(swapped, nearest.view(bits) + bits.type(most), shifted)
    return np.where((-most < codes) & (codes < most), decimal(codes), others).astype(bits).tobytes()


def _undo_pco(data, lane, lanes, is_complex):
    from pcodec import standalone

    require(data[:4] == b"pco!" and data[-1] == 0, "pco: not one whole stream")  # the package passes over what follows
    out = np.zeros(lanes, lane)
    try:
        progress = standalone.simple_decompress_into(data, out)
    except (RuntimeError, TypeError) as error:
        raise FormatError(f"pco: {error}") from None
    require(progress.finished and progress.n_processed == lanes, "pco: another count of numbers")
    return (out.reshape(2, -1).T if is_complex else out).tobytes()


# -- chunks (section 9.1, 9.2) -------------------------------------------------------------------


def decode_mask(raw, count):
    bits = np.unpackbits(np.frombuffer(raw, np.uint8), bitorder="little")
    require(not bits[count:].any(), "mask has bits beyond the elements")
    return bits[:count].astype(bool)


def decode_chunk(raw, count, etype, filters, nullable):
    """Bytes of an unframed chunk of `count` elements: values (one axis, fixed lists two) and validity or None."""
    mask_size = (count + 7) // 8 if nullable else 0
    require(mask_size <= len(raw), "chunk is too short")
    body, mask = raw[: len(raw) - mask_size], raw[len(raw) - mask_size :]
    valid = decode_mask(mask, count) if nullable else None
    if etype.fixed:
        return fixed_values(undo_filters(body, filters, etype, count * etype.size), count, etype), valid
    cursor = Cursor(body)
    lengths = np.frombuffer(cursor.planes(count, 8), "<u8").tolist()
    width = etype.dtype.itemsize if etype.code == LIST else 1
    data = undo_filters(cursor.data[cursor.at :], filters, etype, sum(lengths) * width)
    values, items = np.empty(count, object), Cursor(data)
    for i, length in enumerate(lengths):
        values[i] = etype.element(items.take(length * width))
    return values, valid


def decode_framed(stored, block, count, etype, filters, nullable):
    """The same for the stored bytes of a framed block."""
    require(etype.fixed and etype.size and block.frame % etype.size == 0, "frames do not fit the type")
    cursor = Cursor(stored)
    frames = cursor.u32()
    table = [(cursor.u32(), cursor.u32(), cursor.u32()) for _ in range(min(frames, len(stored) // 12))]
    require(len(table) == frames and crc32c(stored[: 4 + 12 * frames]) == block.checksum, "damaged table of frames")
    size, mask_size = count * etype.size, (count + 7) // 8 if nullable else 0
    require(size + mask_size == block.decoded, "another length of the framed chunk")
    require(frames == -(-size // block.frame) + nullable, "another count of frames")
    parts = []
    for index, (length, before, checksum) in enumerate(table):
        frame = cursor.take(length)
        require(crc32c(frame) == checksum, f"damaged frame {index}")
        frame = decompress(block.codec[0], frame, before, block.codec[2])
        wanted = min(block.frame, size - index * block.frame)
        parts.append(undo_filters(frame, filters, etype, wanted) if wanted > 0 else frame)
    cursor.end()
    valid = None
    if nullable:
        require(len(parts[-1]) == mask_size, "mask of another length")
        valid = decode_mask(parts.pop(), count)
    return fixed_values(b"".join(parts), count, etype), valid


def fixed_values(data, count, etype):
    if etype.item == 1:
        require(not data.strip(b"\0\1"), "a bool that is neither 0 nor 1")
    return np.frombuffer(data, etype.dtype).reshape((count, *etype.tail))
