"""Chunks: between the bytes that Zarr's codecs make and regions of the file's arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from zarr.core.buffer import Buffer, BufferPrototype

from .._array import Array
from .._dtypes import of_file
from ..errors import InvalidArgumentError
from . import _types
from ._layout import Layout, is_fill


def read(array: Array, layout: Layout, coords: tuple[int, ...]) -> np.ndarray:
    """A whole chunk as Zarr has it in memory: beyond the array's edge, and where elements are missing, it is the fill value."""
    start, count = layout.box(coords)
    values, mask = array._region(start, count, [])
    values = _to_zarr(values, layout)
    fill = _fill(layout)
    if mask is not None and mask.any():
        values = values.copy()
        values[mask] = fill
    if values.shape == layout.full_shape:
        return values
    whole = np.empty(layout.full_shape, values.dtype)
    whole[...] = fill
    whole[tuple(slice(n) for n in values.shape)] = values
    return whole


def write(array: Array, layout: Layout, coords: tuple[int, ...], whole: np.ndarray) -> None:
    """Writes what of a chunk lies in the array.

    An element that was missing and is the fill value stays missing: Zarr, which does not know of missing elements, writes back what it read.
    """
    start, count = layout.box(coords)
    values = whole[(*(slice(n) for n in count), ...)]
    mask = None
    if layout.definition.nullable:
        _, mask = array._region(start, count, [])
        if mask is not None:
            found = is_fill(values, _fill(layout))
            mask &= found.all(axis=-1) if found.ndim > mask.ndim else found
    array._write(start, _from_zarr(values, layout, array.path), mask)


def _fill(layout: Layout) -> Any:
    fill = layout.metadata.fill_value
    return layout.metadata.dtype.default_scalar() if fill is None else fill


def _to_zarr(values: np.ndarray, layout: Layout) -> np.ndarray:
    kind = layout.definition.kind
    if kind.is_variable and kind.name.startswith("list<"):
        raw = np.empty(values.shape, object)
        for at in np.ndindex(values.shape):
            raw[at] = np.asarray(values[at]).tobytes()
        return raw
    return values.astype(layout.metadata.dtype.to_native_dtype(), copy=False)


def _from_zarr(values: np.ndarray, layout: Layout, path: str) -> np.ndarray:
    kind = layout.definition.kind
    if kind.is_variable and kind.name.startswith("list<"):
        item, lists = of_file(kind.name[5:-1]).dtype, np.empty(values.shape, object)
        for at in np.ndindex(values.shape):
            lists[at] = np.frombuffer(values[at], item)
        return lists
    if kind.name == _types.BFLOAT16:
        exact = values.astype(kind.dtype)
        if not np.array_equal(exact.astype(values.dtype), values, equal_nan=True):
            raise InvalidArgumentError("float32 values that bfloat16, which the array is of, cannot hold", array=path)
        return exact
    if kind.is_variable:
        return values.astype(object)
    return values.astype(kind.dtype.base, copy=False)


async def encode(values: np.ndarray, layout: Layout, prototype: BufferPrototype) -> Buffer | None:
    """The bytes of a chunk, by the codecs that its metadata name."""
    if layout.pipeline is None and not layout.definition.kind.is_variable:
        return prototype.buffer.from_array_like(np.ascontiguousarray(values).reshape(-1).view("B"))
    return await _encoded(values, layout, prototype)


async def _encoded(values: np.ndarray, layout: Layout, prototype: BufferPrototype) -> Buffer | None:
    chunk = prototype.nd_buffer.from_numpy_array(values)
    spec = layout.spec(prototype)
    if layout.pipeline is None:
        return next(iter(await layout.metadata.codecs[0].encode([(chunk, spec)])))
    return next(iter(await layout.pipeline.encode([(chunk, spec)])))


async def decode(value: Buffer, layout: Layout, prototype: BufferPrototype) -> np.ndarray:
    """A chunk from its bytes.

    Raises
    ------
    ValueError
        If they are no chunk of the array.
    """
    dtype = layout.metadata.dtype.to_native_dtype()
    if layout.pipeline is None and dtype.kind not in "OT":
        raw = value.as_numpy_array()
        size = math.prod(layout.full_shape) * dtype.itemsize
        if raw.size != size:
            raise ValueError(f"{raw.size} bytes for a chunk of {layout.path!r}, which has {size}")
        return raw.view("B").view(dtype.newbyteorder("<") if dtype.kind != "V" else dtype).reshape(layout.full_shape)
    codec = layout.pipeline or layout.metadata.codecs[0]
    chunk = next(iter(await codec.decode([(value, layout.spec(prototype))])))
    if chunk is None:
        raise ValueError(f"no bytes for a chunk of {layout.path!r}")
    return chunk.as_numpy_array()
