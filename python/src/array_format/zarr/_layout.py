"""How an array of a file looks to Zarr: its metadata document, and the grid of its chunks."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from zarr.codecs import BytesCodec, VLenBytesCodec, VLenUTF8Codec
from zarr.core.array import create_codec_pipeline
from zarr.core.array_spec import ArrayConfig, ArraySpec
from zarr.core.buffer import BufferPrototype
from zarr.core.metadata import ArrayV2Metadata, ArrayV3Metadata
from zarr.dtype import VariableLengthBytes, VariableLengthUTF8

from .._dtypes import DTYPE_ATTRIBUTE, HIDDEN, ElementType, of_file
from . import _types

DECLARED = HIDDEN + "zarr"
"""What Zarr said of a node that the file has no place for: an attribute, as JSON."""

Metadata = ArrayV2Metadata | ArrayV3Metadata


def normal(document: Any) -> Any:
    """A document as it comes out of JSON."""
    return json.loads(json.dumps(document))


@dataclass(frozen=True)
class Definition:
    """An array as the file defines it, apart from its shape."""

    kind: ElementType
    nullable: bool
    dims: tuple[str, ...]
    chunks: tuple[int, ...] | None
    fill: bytes | None

    def native(self, shape: tuple[int, ...]) -> dict[str, Any]:
        """For `Handle.define`."""
        return {
            "dtype": self.kind.name,
            "nullable": self.nullable,
            "dims": list(self.dims),
            "shape": list(shape),
            "chunks": None if self.chunks is None else list(self.chunks),
            "fill": self.fill,
            "filters": None,
            "codec": None,
        }

    def signature(self) -> list[Any]:
        """What declared metadata are true of."""
        return [self.kind.name, self.kind.hidden, None if self.chunks is None else list(self.chunks)]


def of_metadata(metadata: Metadata) -> Definition:
    """The definition that holds what Zarr wants.

    Raises
    ------
    ValueError
        If the file has nothing like it.
    """
    kind = _types.from_zarr(metadata.dtype)
    names = getattr(metadata, "dimension_names", None) or ("",) * len(metadata.shape)
    dims = tuple(n if n is not None and not set(n) & {"/", "\0"} else "" for n in names)
    chunks = tuple(max(n, 1) for n in metadata.chunk_grid.chunk_shape)
    return Definition(kind, False, dims, chunks, _types.fill_bytes(kind, metadata.fill_value))


@dataclass(frozen=True)
class Layout:
    """An array of a file as Zarr sees it."""

    path: str
    node: str
    shape: tuple[int, ...]
    definition: Definition
    declared: dict[str, Any]

    @cached_property
    def format(self) -> int:
        """2 or 3."""
        return self.declared.get("format", 3)

    @cached_property
    def chunk_shape(self) -> tuple[int, ...]:
        """Extents of a chunk in elements of the file."""
        return self.definition.chunks or tuple(max(n, 1) for n in self.shape)

    @cached_property
    def derived(self) -> dict[str, Any]:
        """The document that the file's own metadata make."""
        return derived(self.shape, self.definition, self.format)

    @cached_property
    def document(self) -> dict[str, Any]:
        """The document that Zarr gets, without attributes."""
        found = {k: v for k, v in self.derived.items() if k not in self.declared.get("without", ())}
        return found | self.declared.get("fields", {})

    @cached_property
    def metadata(self) -> Metadata:
        """The same, as Zarr has it."""
        return parse(self.document)

    @cached_property
    def pipeline(self) -> Any:
        """Zarr's own codecs, where the bytes of a chunk are not what they are in memory; `None` where they are."""
        if isinstance(self.metadata, ArrayV3Metadata) and len(self.metadata.codecs) == 1:
            codec, kind = self.metadata.codecs[0], self.metadata.data_type
            if isinstance(codec, BytesCodec) and (codec.endian is None or codec.endian.value == "little"):
                return None
            if isinstance(codec, VLenUTF8Codec) and isinstance(kind, VariableLengthUTF8):
                return None
            if isinstance(codec, VLenBytesCodec) and isinstance(kind, VariableLengthBytes):
                return None
        return create_codec_pipeline(self.metadata)

    @cached_property
    def is_sharded(self) -> bool:
        """Whether Zarr reads parts of chunks."""
        return isinstance(self.metadata, ArrayV3Metadata) and any(type(c).__name__ == "ShardingCodec" for c in self.metadata.codecs)

    @cached_property
    def full_shape(self) -> tuple[int, ...]:
        """The shape of a chunk to Zarr: axes of lists in elements included."""
        return self.chunk_shape + self.definition.kind.item_shape

    @cached_property
    def chunk_bytes(self) -> int:
        """What a chunk takes in memory, about; at least 1."""
        return max(math.prod(self.full_shape) * self.definition.kind.dtype.itemsize, 1)

    @cached_property
    def shows_all(self) -> bool:
        """Whether chunks that were never written have to be shown, since no fill value of Zarr's says what they are: lists of several values."""
        item, fill = self.definition.kind.item_shape, self.definition.fill
        return bool(item and fill is not None) and fill != fill[: len(fill) // item[0]] * item[0]

    @cached_property
    def grid(self) -> tuple[int, ...]:
        """How many chunks there are on each axis."""
        return tuple(-(-n // c) for n, c in zip(self.shape, self.chunk_shape, strict=True))

    def spec(self, prototype: BufferPrototype) -> ArraySpec:
        """What codecs want to know of a chunk."""
        order = getattr(self.metadata, "order", "C")
        config = ArrayConfig(order=order, write_empty_chunks=True)
        return ArraySpec(self.full_shape, self.metadata.dtype, self.metadata.fill_value, config, prototype)

    def box(self, coords: tuple[int, ...]) -> tuple[list[int], list[int]]:
        """Where a chunk begins, and how much of it is in the array."""
        start = [k * c for k, c in zip(coords, self.chunk_shape, strict=True)]
        return start, [min(c, n - a) for a, c, n in zip(start, self.chunk_shape, self.shape, strict=True)]

    def key(self, coords: tuple[int, ...]) -> str:
        """The key of a chunk, from its node on."""
        extra = len(self.full_shape) - len(self.chunk_shape)
        return self.metadata.encode_chunk_key(coords + (0,) * extra)

    def coords(self, key: str) -> tuple[int, ...] | None:
        """The chunk that a key means; `None` if it means none of the grid."""
        parts = key.replace(".", "/").split("/")
        parts = parts[1:] if parts[0] == "c" else parts
        if not all(p.isascii() and p.isdigit() for p in parts):
            return None
        coords = tuple(int(p) for p in parts)[: len(self.grid)] if self.grid else ()
        inside = len(coords) == len(self.grid) and all(k < n for k, n in zip(coords, self.grid, strict=True))
        return coords if inside and self.key(coords) == key else None


def derived(shape: tuple[int, ...], definition: Definition, zarr_format: int) -> dict[str, Any]:
    """The document that the file's own metadata make; of format 2 all but the shape is declared."""
    items = definition.kind.item_shape
    if zarr_format == 2:
        return {"zarr_format": 2, "shape": [*shape, *items]}
    chunks = definition.chunks or tuple(max(n, 1) for n in shape)
    return json.loads(_template(definition, chunks)) | {"shape": [*shape, *items]}


@lru_cache(1024)
def _template(definition: Definition, chunks: tuple[int, ...]) -> str:
    """The same for every shape: arrays are alike."""
    kind = definition.kind
    data_type = _types.to_zarr(kind)
    items = kind.item_shape
    fill = _types.fill_of(kind, definition.nullable, definition.fill, data_type)
    codec = VLenUTF8Codec() if isinstance(data_type, VariableLengthUTF8) else BytesCodec(endian="little")
    names = [n or None for n in definition.dims] + [None] * len(items)
    metadata = ArrayV3Metadata(
        shape=(0,) * len(names),
        data_type=data_type,
        chunk_grid={"name": "regular", "configuration": {"chunk_shape": chunks + items}},
        chunk_key_encoding={"name": "default", "separator": "/"},
        fill_value=fill,
        codecs=[VLenBytesCodec() if isinstance(data_type, VariableLengthBytes) else codec],
        attributes={},
        dimension_names=names if any(names) else None,
    )
    found = metadata.to_dict()
    del found["attributes"], found["shape"]
    found["fill_value"] = _types.exact_fill(np.asarray(fill), found["fill_value"])
    return json.dumps(found)


def parse(document: dict[str, Any]) -> Metadata:
    """A document as Zarr has it."""
    return (ArrayV2Metadata if document["zarr_format"] == 2 else ArrayV3Metadata).from_dict(dict(document))


def declare(document: dict[str, Any], shape: tuple[int, ...], definition: Definition) -> dict[str, Any]:
    """What a document says that the file has no place for."""
    zarr_format = document["zarr_format"]
    own = derived(shape, definition, zarr_format)
    text = {k: json.dumps(v, sort_keys=True) for k, v in own.items()}
    fields = {k: v for k, v in document.items() if k != "attributes" and text.get(k) != json.dumps(v, sort_keys=True)}
    fields.pop("shape", None)
    without = [k for k in own if k not in document]
    found: dict[str, Any] = {} if zarr_format == 3 else {"format": 2}
    if fields or without or found:
        found |= {"fields": fields, "without": without, "of": definition.signature()}
    return found


def of_info(path: str, node: str, info: tuple, hidden: str | None, declared: str | None) -> Layout:
    """An array as the handle of a file tells it."""
    shape, name, nullable, dims, chunks, fill = info[:6]
    definition = Definition(of_file(name, hidden), nullable, tuple(dims), None if chunks is None else tuple(chunks), fill)
    said = json.loads(declared) if declared is not None else {}
    if "of" in said and said["of"] != definition.signature():
        said = {}  # somebody else has defined another array of this name
    return Layout(path, node, tuple(shape), definition, said)


def is_fill(values: np.ndarray, fill: Any) -> np.ndarray:
    """Which elements are the fill value, bit for bit where they have bits."""
    if values.dtype.kind in "OT":
        return values == fill
    scalar = np.asarray(fill, values.dtype)
    if values.dtype.itemsize == 0 or values.dtype.kind in "UV":
        return values == scalar
    return (values == scalar) | ((values != values) & (scalar != scalar))
