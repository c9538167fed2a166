"""Groups: folders of arrays and of other groups."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _repr
from ._array import Array, _objects_of, lengths
from ._attributes import Attributes
from ._dtypes import DTYPE_ATTRIBUTE, HIDDEN, ElementType, as_array, exact_cast, is_null, of_numpy, of_values
from .errors import AlreadyExistsError, InvalidArgumentError, NotFoundError

if TYPE_CHECKING:
    from ._core import _Definition
    from ._file import File

Node = "Array | Group"


class Group(MutableMapping[str, Any]):
    """A group of arrays and groups: a mapping from names to them.

    Names may go several groups down, as in ``file["argo/2024/temperature"]``; the mapping itself goes over what is directly in the group.
    ``group["name"] = values`` makes an array, or replaces what an array is and holds.
    """

    def __init__(self, file: File, path: str) -> None:
        self._root = file
        self._path = path

    # What there is.

    @property
    def path(self) -> str:
        """Its full name in the file; ``""`` for the file itself."""
        return self._path

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self._path.rpartition("/")[2]

    @property
    def file(self) -> File:
        """The file that it belongs to."""
        return self._root

    @property
    def attrs(self) -> Attributes:
        """Its attributes."""
        return Attributes(self._root, self._path)

    @property
    def dims(self) -> dict[str, int]:
        """The dimensions that it declares, and their lengths; see `create_dimension`."""
        return {name: length for name, length, _ in self._root._handle.dimensions(self._path)}

    @property
    def unlimited_dims(self) -> frozenset[str]:
        """Of these: those that may grow."""
        return frozenset(name for name, _, unlimited in self._root._handle.dimensions(self._path) if unlimited)

    def _join(self, name: str) -> str:
        if not isinstance(name, str):
            raise InvalidArgumentError(f"names are texts, not {type(name).__name__}")
        name = name.strip("/")
        return f"{self._path}/{name}" if self._path and name else self._path or name

    def __getitem__(self, name: str) -> Any:
        path = self._join(name)
        if path == self._path:
            return self
        handle = self._root._handle
        try:
            return Array(self._root, path, handle.array(path))
        except (NotFoundError, InvalidArgumentError):
            if _is_group(handle, path):
                return Group(self._root, path)
        raise NotFoundError(f"there is no array or group {path!r} in {self._root.url}", file=self._root.url, array=path)

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        path, handle = self._join(name), self._root._handle
        return path == self._path or handle.contains(path) or _is_group(handle, path)

    def _names(self) -> dict[str, bool]:
        """What is directly here, in order, and whether it is an array."""
        start = self._path + "/" if self._path else ""
        handle, found = self._root._handle, {}
        for path in handle.list_arrays(start):
            name, _, below = path[len(start) :].partition("/")
            found[name] = not below
        for path in handle.list_groups():
            if path.startswith(start) and path != self._path:
                found[path[len(start) :].partition("/")[0]] = False
        return {name: found[name] for name in sorted(found) if not name.startswith(HIDDEN)}

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def arrays(self, *, recursive: bool = False) -> dict[str, Array]:
        """The arrays in the group, or with `recursive` in all groups below it too, by their names from here."""
        start = self._path + "/" if self._path else ""
        found = {}
        for path, info in self._root._handle.arrays(start):
            name = path[len(start) :]
            if (recursive or "/" not in name) and not name.startswith(HIDDEN):
                found[name] = Array(self._root, path, info)
        return found

    def groups(self) -> dict[str, Group]:
        """The groups in the group."""
        return {name: Group(self._root, self._join(name)) for name, is_array in self._names().items() if not is_array}

    # What is made.

    def create_group(self, name: str, *, attrs: Mapping[str, Any] | None = None, exist_ok: bool = False) -> Group:
        """Makes a group; the groups above it need not be there."""
        path, there = self._join(name), name in self
        if there and (not exist_ok or self._root._handle.contains(path)):
            raise AlreadyExistsError(f"{path!r} is there already in {self._root.url}", file=self._root.url, array=path)
        if not there or path and self._root.mode != "r":
            try:  # also of a group that is there for the sake of what is in it: it stays when that goes
                self._root._writable().define_group(path)
            except AlreadyExistsError:
                if not there:
                    raise
        group = Group(self._root, path)
        try:
            group.attrs.update(attrs or {})
        except Exception:
            if not there:
                self._root._writable().delete(path)
            raise
        return group

    def require_group(self, name: str) -> Group:
        """The group of that name; it is made if it is not there."""
        return self.create_group(name, exist_ok=True)

    def create_dimension(self, name: str, length: int, *, unlimited: bool = False) -> None:
        """Declares a dimension, as netCDF does; arrays of the group and below can use its name."""
        self._root._writable().define_dimension(self._path, name, lengths([length])[0], unlimited)

    def create_array(
        self,
        name: str,
        data: Any = None,
        *,
        shape: Iterable[int] | int | None = None,
        dtype: Any = None,
        dims: Iterable[str] | None = None,
        chunks: Iterable[int] | int | None = None,
        fill_value: Any = None,
        nullable: bool | None = None,
        filters: Iterable[str] | None = None,
        codec: str | None = None,
        attrs: Mapping[str, Any] | None = None,
        overwrite: bool = False,
    ) -> Array:
        """Makes an array, and writes `data` to it.

        Parameters
        ----------
        name : str
            Its name, from this group on; groups on the way are made.
        data : array_like, optional
            Its elements, all of them.
        shape : int or tuple of int, optional
            Its shape; that of `data` if it is left out.
        dtype : dtype or str, optional
            Its type of elements; that of `data` if it is left out. A name of the file's own types is possible too: ``"string"``,
            ``"binary"``, ``"bf16"``, ``"list<f64>"``, ``"list<f32; 3>"``.
        dims : tuple of str, optional
            Names of its axes.
        chunks : int or tuple of int or bool, optional
            The shape of its chunks, what is read, compressed and replaced as a whole; `False` for one chunk. If it is left out, one
            chunk for arrays of up to 4 MiB, and chunks of about 1 MiB for others and for those that have an axis of length 0.
        fill_value : optional
            What elements are that were not written. If it is left out: nulls where they are possible, else 0, ``""`` or NaT.
        nullable : bool, optional
            Whether elements may be missing. By default if `data` is masked, or has None among its objects.
        filters : list of str, optional
            Transformations before compression: ``"shuffle"``, ``"delta"``, ``"bitround:10"``, ``"decimal:2"``, ``"pco:8"``. If it is left out,
            what is best for a sample of the data.
        codec : str, optional
            ``"none"``, ``"lz4"``, ``"zstd"``, ``"zstd:9"``. If it is left out, what is best for a sample of the data.
        attrs : mapping, optional
            Its attributes.
        overwrite : bool
            Replace an array that is there, with its attributes. Otherwise it is an error.

        Returns
        -------
        Array

        Raises
        ------
        AlreadyExistsError
            If there is an array or group of that name.
        InvalidArgumentError
            If shape, type and data do not go together.
        """
        path = self._join(name)
        kind, null, data = _element_type(data, dtype)
        nullable = null if nullable is None else bool(nullable)
        if shape is None:
            if data is None:
                raise InvalidArgumentError(f"{path!r} needs data or a shape", array=path)
            shape = data.shape[: data.ndim - len(kind.item_shape)]
        shape = lengths(shape)
        handle = self._root._writable()
        exists = path in self._root if path else True
        if exists and not overwrite:
            raise AlreadyExistsError(f"{path or 'the file itself'!r} is there already in {self._root.url}", file=self._root.url, array=path)
        if chunks is None or chunks is True:
            chunks = _chunk_shape(shape, kind)
        elif chunks is False:
            chunks = None
        else:
            chunks = [int(chunks)] * len(shape) if isinstance(chunks, int | np.integer) else chunks
            chunks = lengths(chunks)
        if fill_value is None and not nullable and kind.dtype.kind in "Mm":
            fill_value = np.array("NaT", kind.dtype)
        definition: _Definition = {
            "dtype": kind.name,
            "nullable": nullable,
            "dims": _dimension_names(dims, len(shape)),
            "shape": shape,
            "chunks": chunks,
            "fill": None if fill_value is None else _fill_bytes(kind, fill_value),
            "filters": [filters] if isinstance(filters, str) else [str(f) for f in filters] if filters is not None else None,
            "codec": codec,
        }
        handle.define(path, definition, exists)
        if exists:
            for old, _ in handle.attributes(path):
                handle.remove_attribute(path, old)
        if kind.hidden is not None:
            handle.set_attribute(path, DTYPE_ATTRIBUTE, "string", kind.hidden)
        array = Array(self._root, path)
        try:
            for key, value in (attrs or {}).items():
                array.attrs[key] = value
            if data is not None:
                array[...] = data
        except Exception:
            if not exists:
                handle.delete(path)  # an array that is half made helps nobody
            raise
        return array

    def __setitem__(self, name: str, values: Any) -> None:
        path = self._join(name)
        if isinstance(values, Array) and values.file is not self._root:
            self.copy_from(values, name)
            return
        if self._root._handle.contains(path):
            array = self[name]
            kind, null, data = _element_type(values, None)
            assert data is not None
            if kind == array._type and null <= array.nullable and data.shape == array.shape + kind.item_shape:
                array[...] = data  # as it was defined
                return
            kept = {"dims": array.dims} if len(array.dims) == data.ndim - len(kind.item_shape) else {}
            self.create_array(name, data, attrs=array.attrs.asdict(), overwrite=True, **kept)
        else:
            self.create_array(name, values)

    def __delitem__(self, name: str) -> None:
        path = self._join(name)
        if name not in self or path == self._path:
            raise NotFoundError(f"there is no array or group {path!r} in {self._root.url}", file=self._root.url, array=path)
        self._root._writable().delete(path)

    def rename(self, old: str, new: str) -> None:
        """Gives an array or a group, with all that is in it, another name. No data is copied."""
        self._root._writable().rename(self._join(old), self._join(new))

    def copy_from(self, array: Array, name: str | None = None) -> Array:
        """Copies an array of another file, or of another version of this one, as it is stored: nothing is decoded."""
        path = self._join(array.name if name is None else name)
        self._root._writable().copy_from(array.file._handle, array.path, path)
        return Array(self._root, path)

    # What it looks like.

    def __repr__(self) -> str:
        return _repr.group(self)

    def _repr_html_(self) -> str:
        return _repr.group_html(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Group) and self._root is other._root and self._path == other._path

    def __hash__(self) -> int:
        return hash((id(self._root), self._path))

    def __reduce__(self) -> tuple[Any, ...]:
        return Group, (self._root, self._path)


def _is_group(handle: Any, path: str) -> bool:
    try:
        handle.attribute(path, "")
    except NotFoundError:
        return False
    except InvalidArgumentError:
        return True
    return True


def _element_type(data: Any, dtype: Any) -> tuple[ElementType, bool, np.ndarray | None]:
    """The type of elements, whether some are missing, and the data as an array of numpy."""
    if isinstance(data, Array):
        kind, null, data = data._type, data.nullable, data[...]
        return (kind if dtype is None else of_numpy(dtype)), null, data
    if isinstance(data, Mapping):
        raise InvalidArgumentError(f"a {type(data).__name__} is no array: copy its arrays one by one")
    if data is None:
        return of_numpy(np.float64 if dtype is None else dtype), False, None
    given = None if dtype is None or dtype is object else of_numpy(dtype)
    if given is not None and given.is_variable and given.name.startswith("list<"):
        array = data if isinstance(data, np.ndarray) and data.dtype.kind == "O" else _objects_of(data)
    elif given is not None and given.is_variable:
        array = data if isinstance(data, np.ndarray) else np.asarray(data, object)
    elif isinstance(data, np.ndarray):  # masked ones too
        array = data
    else:
        try:
            array = as_array(data, given) if given is not None else np.asanyarray(data)
        except ValueError as e:
            raise InvalidArgumentError(f'data of no shape: {e}. For lists of varying length say dtype="list<f64>"') from None
        if array.dtype.kind == "U" and given is None:
            array = array.astype(object)  # the width of the longest text of a list means nothing
    found, null = (given, isinstance(array, np.ma.MaskedArray)) if given is not None else of_values(array)
    if given is not None and array.dtype.kind == "O":
        null = null or any(is_null(v) for v in np.ma.getdata(array).reshape(-1))
    return found, null, array


def _dimension_names(dims: Iterable[str | None] | str | None, ndim: int) -> list[str]:
    """Names for the file, which keeps one for each axis; an axis without a name has an empty one."""
    if dims is None:
        return [""] * ndim
    return ["" if d is None else str(d) for d in ([dims] if isinstance(dims, str) else dims)]


def _fill_bytes(kind: ElementType, value: Any) -> bytes:
    if value is np.ma.masked:
        raise InvalidArgumentError("elements that were not written are null in an array with nullable=True and no fill value")
    if kind.name in ("string", "binary"):
        if kind.width is None or np.size(value) == 1 and len(value) <= kind.width:
            if kind.name == "string" and isinstance(value, str):
                return value.encode()
            if kind.name == "binary" and isinstance(value, bytes | bytearray | memoryview):
                return bytes(value)
        raise InvalidArgumentError(f"the fill value {value!r:.50} is no {kind.dtype if kind.width else kind.name}")
    if kind.is_variable:
        return np.ascontiguousarray(value, of_numpy(kind.name[5:-1]).dtype).tobytes()
    dtype = kind.dtype.base
    array = np.asarray(value)
    if array.dtype != dtype:
        try:
            cast = np.asarray(value, dtype) if array.dtype.kind in "OUS" or dtype.names else exact_cast(array, dtype)
        except (TypeError, ValueError, OverflowError) as e:
            raise InvalidArgumentError(f"the fill value {value!r} is no {dtype}: {e}") from None
        if cast is None:
            raise InvalidArgumentError(f"the fill value {value!r} is no {dtype}")
        array = cast
    try:
        array = np.broadcast_to(array, kind.item_shape)
    except ValueError:
        raise InvalidArgumentError(f"the fill value {value!r} is not one element of {kind.name}") from None
    return kind.to_stored(array).tobytes()


CHUNK_BYTES = 1 << 20
"""About what a chunk is if nobody says what it should be."""


def _chunk_shape(shape: list[int], kind: ElementType) -> list[int] | None:
    """Chunks of about `CHUNK_BYTES` with axes in proportion to the array's; `None` where one chunk is good enough."""
    itemsize = max(kind.dtype.itemsize if not kind.is_variable else 16, 1)
    if growing := shape.count(0):  # they are empty to be appended to, and one chunk would be written again each time
        room = CHUNK_BYTES / (itemsize * math.prod(n for n in shape if n))
        shape = [n or max(int(room ** (1 / growing)), 1) for n in shape]
        if room >= 1:
            return shape
    size = itemsize
    for n in shape:
        size *= n
    if size <= 4 * CHUNK_BYTES:
        return None
    chunks = list(shape)
    while True:
        total = itemsize
        for n in chunks:
            total *= n
        if total <= CHUNK_BYTES:
            return chunks
        # The axis that is longest in chunks; the first one of several, where files grow.
        axis = max(range(len(chunks)), key=lambda i: (chunks[i], -i))
        if chunks[axis] == 1:
            return chunks
        chunks[axis] = -(-chunks[axis] // 2)
