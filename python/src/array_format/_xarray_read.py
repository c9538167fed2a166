"""A group of a file as xarray's variables: lazily read, decoded by xarray's own machinery."""

from __future__ import annotations

import asyncio
from itertools import zip_longest
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from ._array import Array
from ._attributes import decode
from ._dtypes import DTYPE_ATTRIBUTE, HIDDEN, ElementType, of_file
from ._file import File
from ._file import open as open_file
from ._group import Group
from .errors import NotFoundError


VLEN_STRING = xr.coding.strings.create_vlen_dtype(str)


class Opener:
    """Opens one version of a file, again and again: xarray closes files that were not used for long."""

    def __init__(self, url: str, settings: dict[str, Any], first: File | None = None) -> None:
        self._url, self._settings, self._first = url, settings, first

    def __call__(self, mode: str = "r") -> File:
        if self._first is not None and not self._first.closed:
            first, self._first = self._first, None
            return first
        return open_file(self._url, "r", **self._settings)

    def __getstate__(self) -> dict[str, Any]:
        return {"_url": self._url, "_settings": self._settings, "_first": None}

    def __hash__(self) -> int:
        return hash((self._url, self._settings.get("version")))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Opener) and (self._url, self._settings) == (other._url, other._settings)


class LazyArray(BackendArray):
    """An array of a file for xarray: it is read when it is indexed."""

    def __init__(self, manager: Any, path: str, info: tuple, kind: ElementType, shape: tuple[int, ...]) -> None:
        self._manager, self._path, self._info = manager, path, info
        self.shape = shape
        self.dtype = dtype_of(kind, info[2])

    def __getitem__(self, key: indexing.ExplicitIndexer) -> np.ndarray:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    async def async_getitem(self, key: indexing.ExplicitIndexer) -> np.ndarray:
        return await asyncio.to_thread(self.__getitem__, key)

    def _read(self, key: tuple) -> np.ndarray:
        array = Array(self._manager.acquire(), self._path, self._info)
        own, items = key[: array.ndim], key[array.ndim :]
        outer = any(isinstance(k, np.ndarray) for k in own)
        values = array.oindex[own] if outer else array[own]
        if items and items != (slice(None),):
            values = values[..., items[0]]
        return plain(values, self.dtype, array.nullable)


def dtype_of(kind: ElementType, nullable: bool) -> np.dtype:
    """What an array is to xarray: texts of any length are objects, and numbers that may be missing are floats."""
    dtype = kind.dtype.base
    if dtype.kind == "T":
        return np.dtype(object) if nullable else VLEN_STRING
    if not nullable or dtype.kind in "fcMmO":
        return dtype
    if dtype.kind in "iu":
        return np.dtype(np.float32 if dtype.itemsize <= 2 else np.float64)
    return np.dtype(object)


def plain(values: Any, dtype: np.dtype, nullable: bool) -> np.ndarray:
    """What was read, as an array of `dtype_of`."""
    mask = np.ma.getmaskarray(values) if nullable else None
    values = np.asarray(np.ma.getdata(values))
    if values.dtype != dtype:
        values = values.astype(dtype)
    if mask is not None and mask.any():
        values = values.copy()
        values[mask] = np.array("NaT", dtype) if dtype.kind in "Mm" else np.nan
    return values


def group_of(file: File, group: str | None) -> Group:
    """A group of a file."""
    path = (group or "").strip("/")
    found = file[path] if path else file
    if not isinstance(found, Group):
        raise NotFoundError(f"{path!r} in {file.url} is an array, not a group", file=file.url, array=path)
    return found


def variables(file: File, group: Group, manager: Any) -> dict[str, xr.Variable]:
    """The arrays of a group, without those of groups below it."""
    start = f"{group.path}/" if group.path else ""
    infos = [(path, info) for path, info in file._handle.arrays(start) if _is_shown(path[len(start) :])]
    attributes = file._handle.attributes_of([path for path, _ in infos])
    phony: dict[int, str] = {}
    return {
        path[len(start) :]: _variable(path, info, pairs, manager, phony) for (path, info), pairs in zip(infos, attributes, strict=True)
    }


def _is_shown(name: str) -> bool:
    """Whether an array is in the group itself, and not one of the package's own."""
    return "/" not in name and not name.startswith(HIDDEN)


def _variable(path: str, info: tuple, pairs: list, manager: Any, phony: dict[int, str]) -> xr.Variable:
    shape, name, nullable, dims, chunks, _, filters, codec, attribute_names = info
    shape = tuple(shape)
    hidden = next((value[1] for key, value in pairs if key == DTYPE_ATTRIBUTE), None) if DTYPE_ATTRIBUTE in attribute_names else None
    kind = of_file(name, hidden)
    dims = tuple(d or phony.setdefault(n, f"phony_dim_{len(phony)}") for d, n in zip_longest(dims, shape))
    if len(set(dims)) < len(dims):  # a square matrix without names, or with one for both axes
        dims = tuple(d if d not in dims[:i] else f"{d}_{i}" for i, d in enumerate(dims))
    encoding: dict[str, Any] = {"original_shape": shape}
    if kind.dtype.kind != "T":
        encoding["dtype"] = kind.dtype.base
    elif not nullable:  # where there are nulls, xarray would make texts of them
        encoding["dtype"] = str
    if chunks is not None:
        encoding["chunks"] = tuple(chunks)
        encoding["preferred_chunks"] = dict(zip(dims, chunks, strict=True))
    if filters:
        encoding["filters"] = tuple(filters)
    if codec:
        encoding["codec"] = codec
    if kind.item_shape:
        dims, shape = dims + tuple(f"item_{n}" for n in kind.item_shape), shape + kind.item_shape
    data = indexing.LazilyIndexedArray(LazyArray(manager, path, info, kind, shape))
    return xr.Variable(dims, data, decode(pairs), encoding, fastpath=True)
