"""A group of a file as a store of xarray, to read and to write."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, Self

import numpy as np
import xarray as xr
from xarray.backends import CachingFileManager
from xarray.backends.common import WritableCFDataStore
from xarray.backends.file_manager import DummyFileManager
from xarray.coding.strings import CharacterArrayCoder, EncodedStringCoder

from . import _xarray_read as reading
from ._array import Array
from ._dtypes import HIDDEN
from ._file import File
from ._file import open as open_file
from ._group import Group
from .errors import InvalidArgumentError

ENCODING = frozenset({"chunks", "codec", "filters"})
"""What an encoding can say of an array of a file."""

_KNOWN = frozenset({"preferred_chunks", "original_shape", "source", "dtype", "char_dim_name", "_FillValue"})
"""What xarray itself leaves in an encoding."""

_FOREIGN = {"chunksizes": "chunks"}


class ArrayFormatStore(WritableCFDataStore):
    """The arrays of a group as variables."""

    __slots__ = ("_anew", "_manager", "_staging", "group", "renames")

    def __init__(self, manager: Any, group: str, staging: str | None = None) -> None:
        self._manager, self.group = manager, group
        # For writers that are other processes: a group where arrays are made that replace others, and what is to be renamed at the end.
        self._staging, self.renames = staging, []
        self._anew = False

    @classmethod
    def open(
        cls,
        source: Any,
        *,
        group: str | None = None,
        version: int | str | None = None,
        options: Mapping[str, Any] | None = None,
        deadline: float | None = None,
    ) -> Self:
        """A store to read, at the version that is the newest now, or at another."""
        if isinstance(source, File):
            return cls(DummyFileManager(source, close=_keep_open), reading.group_of(source, group).path)
        if not isinstance(source, str | os.PathLike):
            raise InvalidArgumentError(f"a path or a URL is needed, not {type(source).__name__}")
        url = os.fspath(source)
        if "://" not in url:
            url = os.path.abspath(os.path.expanduser(url))
        settings: dict[str, Any] = {"version": version, "options": options, "deadline": deadline}
        file = open_file(url, "r", **settings)
        try:
            path = reading.group_of(file, group).path
        except BaseException:
            file.close()
            raise
        settings["version"] = file.version
        manager = CachingFileManager(reading.Opener(url, settings, file), mode="r")
        return cls(manager, path)

    @property
    def file(self) -> File:
        """The file."""
        return self._manager.acquire()

    @property
    def node(self) -> Group:
        """The group of the file."""
        return self.file[self.group] if self.group else self.file

    def child(self, path: str) -> ArrayFormatStore:
        """The store of a group below this one, by its path from here."""
        return type(self)(self._manager, "/".join(p for p in (self.group, path.strip("/")) if p))

    def groups_below(self) -> list[str]:
        """The paths of this group and of all below it, from here: ``"/"``, ``"/a"``, ``"/a/b"``."""
        start = f"{self.group}/" if self.group else ""
        handle = self.file._handle
        found = {"/"}
        for path in handle.list_groups():
            if path.startswith(start) and path != self.group:
                found.add(f"/{path[len(start) :]}")
        for path in handle.list_arrays(start):
            found.add(f"/{path[len(start) :].rpartition('/')[0]}")
        for path in list(found):
            parts = path.strip("/").split("/")
            found.update("/" + "/".join(parts[:i]) for i in range(1, len(parts)))
        return sorted(path for path in found if not path.startswith("/" + HIDDEN))

    # What xarray asks of a store to read.

    def get_variables(self) -> dict[str, xr.Variable]:
        file = self.file
        return reading.variables(file, self.node, self._manager)

    def get_attrs(self) -> dict[str, Any]:
        return self.node.attrs.asdict()

    def get_dimensions(self) -> dict[str, int]:
        if self._anew:
            return {}
        node = self.node
        start = f"{node.path}/" if node.path else ""
        infos = [info for path, info in self.file._handle.arrays(start) if "/" not in path[len(start) :]]
        return {dim: n for shape, _, _, dims, *_ in infos for dim, n in zip(dims, shape, strict=False)}

    def get_encoding(self) -> dict[str, Any]:
        unlimited = set(self.node.unlimited_dims)
        return {"unlimited_dims": unlimited & set(self.get_dimensions()) if unlimited else unlimited, "source": self.file.url}

    def close(self, **kwargs: Any) -> None:
        self._manager.close(**kwargs)

    # And to write.

    def encode_variable(self, variable: xr.Variable, name: Any = None) -> xr.Variable:
        chars = variable.encoding.get("dtype") in ("S1", np.dtype("S1"))
        variable = EncodedStringCoder(allows_unicode=not chars).encode(variable, name=name)
        return CharacterArrayCoder().encode(variable, name=name) if chars else variable

    def set_dimension(self, name: Any, length: int, is_unlimited: bool = False) -> None:
        self.node.create_dimension(str(name), length, unlimited=is_unlimited)

    def set_attribute(self, name: Any, value: Any) -> None:
        self.node.attrs[name] = value

    def prepare_variable(self, name: str, variable: xr.Variable, check_encoding: bool = False, unlimited_dims: Any = None):
        """Defines an array, or finds one that is as the variable is; returns where the data goes, and the data."""
        encoding = _encoding(name, variable, check_encoding)
        variable = _with_typed_fill(variable)
        group, existing = self.node, self._existing(name)
        kind = _type_of(variable)
        if existing is not None and existing.shape == variable.shape and existing.dims == variable.dims and existing._type.name == kind[0]:
            _replace_attributes(existing, variable.attrs)
            return existing, variable.data
        target, attributes = f"{group.path}/{name}" if group.path else name, dict(variable.attrs)
        if self._staging is not None and variable.chunks is not None and (existing is not None or self._anew):
            staged = f"{self._staging}/{target}"
            self.renames.append((staged, target))
            target = staged
        array = self.file.create_array(
            target,
            shape=variable.shape,
            dtype=kind[1],
            dims=[str(d) for d in variable.dims],
            fill_value=_fill(attributes.get("_FillValue"), kind[1]),
            attrs=attributes,
            overwrite=existing is not None and target == existing.path,
            **encoding,
        )
        return array, variable.data

    def _existing(self, name: str) -> Array | None:
        path = f"{self.group}/{name}" if self.group else name
        found = self.file[path] if self.file._handle.contains(path) else None
        return found if isinstance(found, Array) else None

    def begin_anew(self, *, delete: bool) -> None:
        """Takes away all that is in the group, unless one above it did."""
        if delete:
            group = self.node
            for name in group:
                del group[name]
            group.attrs.clear()
        self._anew = True

    def sync(self) -> None:
        """Commits."""
        if self.file.has_pending:
            self.file.commit()


def _keep_open(**_: Any) -> None:
    """A file that the user has opened is the user's to close."""


def _replace_attributes(array: Array, attributes: Mapping[str, Any]) -> None:
    old = array.attrs.asdict()
    for name in old.keys() - attributes.keys():
        del array.attrs[name]
    for name, value in attributes.items():
        array.attrs[name] = value


def _type_of(variable: xr.Variable) -> tuple[str, Any]:
    """The file's name of the type of a variable, and what `create_array` is told."""
    from ._dtypes import of_numpy

    dtype = variable.dtype
    if dtype.kind == "O":
        element = xr.coding.strings.check_vlen_dtype(dtype)
        return ("binary", "binary") if element is bytes else ("string", "string")
    return of_numpy(dtype).name, dtype


def _with_typed_fill(variable: xr.Variable) -> xr.Variable:
    """A variable whose ``_FillValue`` is of its own type, as netCDF demands: 255 is a value of ``u1`` and not of any integer."""
    value = variable.attrs.get("_FillValue")
    if value is None or np.ndim(value) or variable.dtype.kind not in "iuf" or np.asarray(value).dtype.kind not in "iuf":
        return variable
    typed = np.asarray(value).astype(variable.dtype)[()]
    if not np.array_equal(typed, value, equal_nan=True):
        return variable
    variable = variable.copy(deep=False)
    variable.attrs["_FillValue"] = typed
    return variable


def _fill(value: Any, dtype: Any) -> Any:
    """xarray's ``_FillValue`` as what elements are that were never written, if it is of the array's type."""
    if value is None or isinstance(dtype, str):
        return value if isinstance(value, str) and dtype == "string" else None
    return value if np.ndim(value) == 0 and np.asarray(value).dtype.kind == np.dtype(dtype).kind else None


def _encoding(name: str, variable: xr.Variable, check: bool) -> dict[str, Any]:
    """What an encoding says of the array; with `check`, anything that it can't say is an error."""
    encoding = dict(variable.encoding)
    for foreign, own in _FOREIGN.items():
        if foreign in encoding and own not in encoding:
            encoding[own] = encoding.pop(foreign)
    unknown = encoding.keys() - ENCODING - _KNOWN
    if check and unknown:
        raise InvalidArgumentError(f"unexpected encoding parameters of {name!r}: {sorted(unknown)}; possible: {sorted(ENCODING)}")
    found = {key: encoding[key] for key in ENCODING if encoding.get(key) is not None}
    chunks = _chunks(name, variable, found.pop("chunks", None), check)
    if chunks is not None:
        found["chunks"] = chunks
    if not check:  # from a file of another library: "zstd" is a codec there, too, and an object of theirs is none here
        found = {k: v for k, v in found.items() if k == "chunks" or _is_own(k, v)}
    return found


def _is_own(key: str, value: Any) -> bool:
    if key == "codec":
        return isinstance(value, str) and value.split(":")[0] in ("none", "lz4", "zstd")
    return isinstance(value, list | tuple) and all(isinstance(v, str) for v in value)


def _chunks(name: str, variable: xr.Variable, given: Any, check: bool) -> Iterable[int] | None:
    """The chunks of an array: as the user says; as Dask's; as they were in the file that the data is from."""
    if isinstance(given, int):
        given = (given,) * variable.ndim
    if given is not None:
        fits = isinstance(given, list | tuple) and len(given) == variable.ndim and all(isinstance(n, int | np.integer) and n > 0 for n in given)
        if not fits and check:
            raise InvalidArgumentError(f"encoding['chunks'] of {name!r} is {given!r}: {variable.ndim} numbers above 0 are needed")
        given = tuple(min(int(n), max(size, 1)) for n, size in zip(given, variable.shape, strict=True)) if fits else None
    if variable.chunks is None or (given is not None and check):
        return given
    return tuple(max(axis[0], 1) if axis else 1 for axis in variable.chunks)
