"""Arrays: numpy's indexing on what lies in a file."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _indexing as indexing
from . import _repr
from ._attributes import Attributes
from ._dtypes import DTYPE_ATTRIBUTE, STRING, ElementType, as_array, exact_cast, is_null, of_file
from ._statistics import Statistics
from .errors import InvalidArgumentError, NotFoundError

if TYPE_CHECKING:
    from ._core import _Info
    from ._file import File

READERS = 8
"""Boxes of one selection that are read at once."""


class Array:
    """One array of a file: a name and a shape; elements are read when they are asked for.

    It is indexed as an array of numpy is: by integers, slices with steps, ``...`` and `numpy.newaxis`, by one list of integers or
    booleans, or by a boolean array of its shape. `oindex` and `vindex` take several lists. What is read is a new array of numpy
    (a masked one where the array can hold nulls); an array of a file is never changed by changing it. Assignment is pending until
    the file is committed.

    Arrays are made by `Group.create_array` and got by ``file["name"]``.
    """

    def __init__(self, file: File, path: str, info: _Info | None = None) -> None:
        self._file = file
        self._path = path
        self._set(info if info is not None else file._handle.array(path))

    def _set(self, info: _Info) -> None:
        (shape, name, self._nullable, dims, chunks, fill, self._filters, self._codec, attributes) = info
        self._shape = tuple(shape)
        self._dims = tuple(dims)
        self._chunks = tuple(chunks) if chunks is not None else None
        hidden = None
        if DTYPE_ATTRIBUTE in attributes:
            found = self._file._handle.attribute(self._path, DTYPE_ATTRIBUTE)
            hidden = found[1] if found is not None else None
        self._type: ElementType = of_file(name, hidden)
        self._fill = fill
        self.__dict__.pop("_cached_fill", None)
        self._seen = self._file._changes

    def _reload(self) -> None:
        self._set(self._file._handle.array(self._path))

    def _sync(self) -> None:
        """Looks again after any change through this file: another object for the same array may have resized or replaced it."""
        if self._seen != self._file._changes:
            self._reload()

    def _wrong(self, what: str) -> InvalidArgumentError:
        url = self._file.url
        return InvalidArgumentError(f"{what} (array {self._path!r}, file {url})", array=self._path, file=url)

    def _definition(self) -> dict[str, Any]:
        """What `Handle.define` needs to make an array like this one."""
        return {
            "dtype": self._type.name,
            "nullable": self._nullable,
            "dims": list(self._dims),
            "shape": list(self._shape),
            "chunks": list(self._chunks) if self._chunks is not None else None,
            "fill": self._fill,
            "filters": list(self._filters) or None,
            "codec": self._codec,
        }

    def _hidden(self) -> tuple[str, str, str] | None:
        """The hidden attribute that says more of its type than the file's own type does: name, type, value."""
        return None if self._type.hidden is None else (DTYPE_ATTRIBUTE, "string", self._type.hidden)

    # What it is.

    @property
    def path(self) -> str:
        """Its full name in the file, such as ``"argo/temperature"``."""
        return self._path

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self._path.rpartition("/")[2]

    @property
    def file(self) -> File:
        """The file that it belongs to."""
        return self._file

    @property
    def shape(self) -> tuple[int, ...]:
        """Elements on each axis."""
        if not self._file.closed:
            with suppress(NotFoundError):  # it tells what it was, once it is deleted
                self._sync()
        return self._shape

    @property
    def dtype(self) -> np.dtype:
        """The type of its elements to numpy."""
        return self._type.dtype.base

    @property
    def element_type(self) -> str:
        """The type of its elements in the file: ``"f32"``, ``"timestamp[ns]"``, ``"string"``, ``"list<i64; 3>"``."""
        return self._type.name

    @property
    def dims(self) -> tuple[str, ...]:
        """The names of its axes; none if it was defined without."""
        return self._dims if any(self._dims) else ()

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """The shape of its chunks; `None` if it is one chunk."""
        return self._chunks

    @property
    def nullable(self) -> bool:
        """Whether elements may be missing; such an array is read as a `numpy.ma.MaskedArray`."""
        return self._nullable

    @property
    def fill_value(self) -> Any:
        """What elements are that were never written; `None` if they are missing, in an array that can hold nulls."""
        return self._cached_fill

    @cached_property
    def _cached_fill(self) -> Any:
        if self._fill is None:
            if self._nullable:
                return None
            return np.zeros((), self.dtype)[()] if not self._type.is_variable else _empty(self._type)
        if self._type.name == "string":
            return self._fill.decode()
        if self._type.is_variable:
            item = self._type.name[5:-1]
            return self._fill if self._type.name == "binary" else np.frombuffer(self._fill, of_file(item).dtype)
        stored = np.frombuffer(self._fill, self._type.dense.base)
        return self._type.from_stored(stored.reshape(self._type.dense.shape))[()]

    @property
    def filters(self) -> tuple[str, ...]:
        """Transformations before compression, such as ``"shuffle"`` or ``"pco:8"``; none: chosen by measuring a sample."""
        return tuple(self._filters)

    @property
    def codec(self) -> str | None:
        """The codec of its blocks; `None`: chosen by measuring a sample."""
        return self._codec

    @property
    def attrs(self) -> Attributes:
        """Its attributes."""
        return Attributes(self._file, self._path)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def itemsize(self) -> int:
        """Bytes of an element in memory."""
        return self._type.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all elements in memory, that of texts and objects themselves not included."""
        return self.size * self.itemsize

    @property
    def stats(self) -> Statistics:
        """Minimum, maximum and counts, without reading any element."""
        elements, known = self._file._handle.statistics(self._path)
        return Statistics.of(known, elements, self._type)

    def chunk_stats(self, *, min: Any = None, max: Any = None) -> list[ChunkStatistics]:
        """What is known of each chunk that was written.

        Parameters
        ----------
        min, max
            Leave out the chunks that hold no value between the two (bounds included).
        """
        bounds = [None if v is None else self._bound(v) for v in (min, max)]
        rows = self._file._handle.chunks(self._path, *bounds)
        return [ChunkStatistics(tuple(start), tuple(shape), Statistics.of(known, None, self._type)) for _, start, shape, _, known in rows]

    def _bound(self, value: Any) -> tuple[str, Any]:
        kind = self._type
        if kind.name == "string" and isinstance(value, str):
            return "string", str(value)
        if kind.name == "binary" and isinstance(value, bytes):
            return "binary", bytes(value)
        if kind.is_variable or kind.dense.shape or kind.dtype.kind == "c":
            raise self._wrong(f"{value!r:.50} is no bound for elements of {kind.name}")
        try:
            return kind.name, kind.to_stored(np.asarray(value, self.dtype)).tobytes()
        except (TypeError, ValueError, OverflowError) as e:
            raise self._wrong(f"{value!r:.50} is no bound for elements of {self.dtype}: {e}") from None

    # Reading.

    def __getitem__(self, key: Any) -> Any:
        self._sync()
        axes = key if isinstance(key, tuple) else (key,)
        fancy = [k for k in axes if indexing.is_fancy(k)]
        if not fancy:
            return self._read(indexing.basic(key, self._shape), scalar=not any(k is Ellipsis for k in axes))
        if len(axes) == 1 and np.asarray(key).dtype == bool and np.ndim(key) == self.ndim and self.ndim != 1:
            return self.vindex[key]
        if len(fancy) == 1 and np.ndim(fancy[0]) == 1 and not any(k is None for k in axes):
            if all(isinstance(k, slice | type(Ellipsis)) or indexing.is_fancy(k) for k in axes):
                return self.oindex[key]
        raise IndexError(
            "several arrays in one index: say oindex[...] to select on each axis by itself, vindex[...] to select points; "
            "numpy's own rules apply to what has been read: array[...][index]"
        )

    def _read(self, sel: indexing.Basic, *, scalar: bool) -> Any:
        values, mask = self._region(sel.start, sel.shape, sel.step)
        items = len(self._type.item_shape)
        values = sel.finish(values)
        if mask is not None:
            return _masked(values, sel.finish(mask), items, scalar=scalar)
        # A scalar, as indexing an array of numpy gives, if there is no ellipsis.
        return values[()] if scalar and values.ndim == 0 else values

    def _region(self, start: list[int], shape: list[int], step: list[int]) -> tuple[np.ndarray, np.ndarray | None]:
        """Elements, and a mask where they can be missing: True for null."""
        handle, kind = self._file._handle, self._type
        if kind.is_variable:
            return self._variable_region(start, shape, step)
        stored = np.empty((*shape, *kind.dense.shape), kind.dense.base)
        there = np.empty(tuple(shape), np.uint8) if self._nullable else None
        if stored.size:
            handle.read_bytes(self._path, start, shape, step, stored.reshape(-1).view(np.uint8), there)
        return kind.from_stored(stored), None if there is None else there == 0

    def _variable_region(self, start: list[int], shape: list[int], step: list[int]) -> tuple[np.ndarray, np.ndarray | None]:
        kind, count = self._type, math.prod(shape)
        flat, there = self._file._handle.read_variable(self._path, start, shape, step) if count else ([], None)
        if kind.name == "string":
            values = np.array(flat, STRING) if count else np.empty(0, STRING)
        else:
            values = np.empty(count, object)
            if kind.name == "binary":
                values[:] = flat
            else:
                item = of_file(kind.name[5:-1]).dtype
                for i, raw in enumerate(flat):
                    values[i] = np.frombuffer(raw, item).copy()
        values = values.reshape(shape)
        if kind.hidden is not None:
            values = values.astype(kind.dtype)
        if not self._nullable:
            return values, None
        mask = np.zeros(shape, bool) if there is None else np.frombuffer(there, np.uint8).reshape(shape) == 0
        return values, mask

    @property
    def oindex(self) -> Indexer:
        """Selection on each axis by itself: ``array.oindex[[1, 5], :, mask]``; also to assign to."""
        return Indexer(self._orthogonal, self._set_orthogonal)

    @property
    def vindex(self) -> Indexer:
        """Selection of points: ``array.vindex[[1, 5], [2, 3]]``, or a boolean array of the array's shape; also to assign to."""
        return Indexer(self._points, self._set_points)

    def _chunk_shape(self) -> tuple[int, ...]:
        return self._chunks or tuple(max(n, 1) for n in self._shape)

    def _orthogonal(self, key: Any) -> Any:
        self._sync()
        axes, count, boxes = indexing.orthogonal(key, self._shape, self._chunk_shape(), self.itemsize)
        values, mask = self._empty(count)

        def fill(box: indexing.Box) -> None:
            part, part_mask = self._region(box.start, box.shape, [])
            values[np.ix_(*box.place)] = part[np.ix_(*box.pick)]
            if mask is not None and part_mask is not None:
                mask[np.ix_(*box.place)] = part_mask[np.ix_(*box.pick)]

        _each(fill, boxes, ordered=self.ndim == 0)
        drop = tuple(0 if isinstance(a, indexing.Run) and a.drop else slice(None) for a in axes)
        result = values[drop] if drop else values[()]
        return _masked(result, mask[drop], len(self._type.item_shape)) if mask is not None else result

    def _points(self, key: Any) -> Any:
        self._sync()
        coords, shape = indexing.points(key, self._shape)
        values, mask = self._empty((coords.shape[1],))

        def fill(found: tuple[indexing.Box, np.ndarray]) -> None:
            box, which = found
            part, part_mask = self._region(box.start, box.shape, [])
            values[which] = part[box.pick]
            if mask is not None and part_mask is not None:
                mask[which] = part_mask[box.pick]

        _each(fill, indexing.point_boxes(coords, self._chunk_shape()))
        result = values.reshape(shape + values.shape[1:])
        return _masked(result, mask.reshape(shape), len(self._type.item_shape)) if mask is not None else result[()]

    def _empty(self, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray | None]:
        values = np.empty(shape, self._type.dtype)
        return values, np.zeros(shape, bool) if self._nullable else None

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("an array of a file can't be had without reading it, which makes a copy")
        values = self[...]
        if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
            raise self._wrong("it has nulls, which numpy.ndarray cannot hold: use array[...], and .filled(value) of it")
        return np.asarray(values, dtype)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self._shape[0]

    def __iter__(self) -> Iterator[Any]:
        """Its subarrays along the first axis, read a chunk's worth at a time."""
        if not self.shape:
            raise TypeError("iteration over a 0-d array")
        length = self._chunk_shape()[0]
        for start in range(0, self._shape[0], length):
            yield from self[start : start + length]

    def __bool__(self) -> bool:
        return bool(np.asarray(self)) if self.size == 1 else self._ambiguous()

    def _ambiguous(self) -> bool:
        raise ValueError("the truth value of an array with more or less than one element is ambiguous")

    def __int__(self) -> int:
        return int(np.asarray(self))

    def __float__(self) -> float:
        return float(np.asarray(self))

    # Writing.

    def __setitem__(self, key: Any, values: Any) -> None:
        self._sync()
        axes = key if isinstance(key, tuple) else (key,)
        if any(indexing.is_fancy(k) for k in axes):
            if len(axes) == 1 and np.asarray(key).dtype == bool and np.ndim(key) == self.ndim and self.ndim != 1:
                self.vindex[key] = values
            elif sum(indexing.is_fancy(k) for k in axes) == 1 and all(
                isinstance(k, slice | type(Ellipsis)) or (indexing.is_fancy(k) and np.ndim(k) == 1) for k in axes
            ):
                self.oindex[key] = values
            else:
                raise IndexError("several arrays in one index: assign to oindex[...] or vindex[...]")
            return
        sel = indexing.basic(key, self._shape)
        if sel.result_shape == () and self._type.name.startswith("list<") and self._type.is_variable:
            values = _one(values)
        given, mask = self._spread(*self._given(values), sel.result_shape)
        items = len(self._type.item_shape)
        if 0 in sel.shape:
            return
        region = sel.unfinish(given, items)
        region_mask = None if mask is None else sel.unfinish(mask, 0)
        if not sel.strided:
            self._write(sel.start, region, region_mask)
            return
        # Elements that are skipped keep what they are; of a large region, only chunks that hold some of the others are read.
        if math.prod((r.count - 1) * r.step + 1 for r in sel.runs) * self.itemsize > indexing.BOX_BYTES:
            lists = [r.start + r.step * np.arange(r.count) for r in sel.runs]
            self._update_boxes(indexing.boxes(lists, self._chunk_shape(), self.itemsize), region, region_mask)
            return
        whole = [(r.count - 1) * r.step + 1 for r in sel.runs]
        every = tuple(slice(None, None, r.step) for r in sel.runs)
        self._update(sel.start, whole, every, region, region_mask)

    def _update(self, start: list[int], shape: list[int], place: Any, values: np.ndarray, mask: np.ndarray | None) -> None:
        """Reads a region, replaces some of its elements, and writes it."""
        with self._file._gate.alone():
            region, region_mask = self._region(start, shape, [])
            place = (*place, ...)
            region[place] = values
            if region_mask is not None:
                region_mask[place] = False if mask is None else mask
            self._write(start, region, region_mask)

    def _given(self, values: Any) -> tuple[np.ndarray, np.ndarray | None]:
        """Values as elements of this array, and what of them is null."""
        if isinstance(values, Array):
            values = values[...]
        mask = self._mask_of(values) if isinstance(values, np.ma.MaskedArray) else None
        kind = self._type
        if kind.is_variable:
            values, mask = self._variable_given(values, mask)
        else:
            values = as_array(values.data if mask is not None else values, kind)
            if values.dtype.kind == "O":
                values, mask = self._objects(values, mask)
            elif values.dtype != self.dtype:
                values = self._cast(values, mask)
        if mask is not None and not mask.any():
            mask = None
        if mask is not None and not self._nullable:
            raise self._wrong("masked values for an array that cannot hold nulls: define it with nullable=True")
        return values, mask

    def _spread(self, values: np.ndarray, mask: np.ndarray | None, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray | None]:
        """Values and their mask, broadcast to what they are assigned to."""
        try:
            spread = _broadcast(values, shape + self._type.item_shape)
            return spread, None if mask is None else _broadcast(mask, shape)
        except ValueError:
            raise self._wrong(f"values of shape {values.shape} for a selection of shape {shape}") from None

    def _mask_of(self, values: np.ma.MaskedArray) -> np.ndarray:
        """What of masked values is null: elements that are masked as a whole, with all fields or items."""
        mask = np.ma.getmaskarray(values)
        if mask.dtype.names is not None:
            mask = np.ascontiguousarray(mask).reshape(-1).view(bool).reshape(*mask.shape, -1)
        elif not self._type.item_shape or mask.ndim == 0:
            return mask
        gone = np.asarray(mask.all(axis=-1))
        if (mask.any(axis=-1) != gone).any():
            raise self._wrong("a part of an element is masked: elements are null as a whole")
        return gone

    def _cast(self, values: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        """Values of another type as elements of this array, if they are the same values then, rounding of floats apart."""
        if mask is not None and mask.all():
            return np.zeros(values.shape, self.dtype)
        if mask is not None and mask.any():  # what is masked can be anything
            gone = mask[..., None] if self._type.item_shape else mask
            values = np.where(gone, np.zeros((), values.dtype), values)
        try:
            cast = exact_cast(values, self.dtype)
        except (TypeError, ValueError) as e:
            raise self._wrong(f"values of {values.dtype} for an array of {self.dtype}: {e}") from None
        if cast is None:
            raise self._wrong(f"values of {values.dtype} that an array of {self.dtype} cannot hold")
        return cast

    def _objects(self, values: np.ndarray, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
        """Numbers in an array of objects, where None is null."""
        gone = np.array([is_null(v) for v in values.reshape(-1)], bool).reshape(values.shape)
        if self._nullable and gone.any():
            mask = gone if mask is None else mask | gone
        if mask is not None:
            values = np.where(mask, np.zeros((), self.dtype)[()], values)
        try:
            cast = values.astype(self.dtype)
            if self.dtype.kind in "biu" and not np.array_equal(cast.astype(object), values):
                raise ValueError("some are no such numbers")
            return cast, mask
        except (TypeError, ValueError, OverflowError) as e:
            raise self._wrong(f"objects for an array of {self.dtype}: {e}") from None

    def _variable_given(self, values: Any, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
        kind = self._type
        if mask is not None and mask.all():
            return np.full(mask.shape, None), mask
        data = np.ma.getdata(values) if isinstance(values, np.ma.MaskedArray) else values
        if kind.name.startswith("list<") and not (isinstance(data, np.ndarray) and data.dtype.kind == "O"):
            data = _objects_of(data)
        data = np.asarray(data, object) if not isinstance(data, np.ndarray) else data
        objects = data.astype(object)
        gone = np.array([is_null(v) for v in objects.reshape(-1)], bool).reshape(objects.shape)
        if gone.any():
            mask = gone if mask is None else mask | gone
        return objects, mask

    def _write(self, start: list[int], region: np.ndarray, mask: np.ndarray | None) -> None:
        handle, kind = self._file._writable(), self._type
        there = None
        if self._nullable:
            there = np.ones(math.prod(region.shape[: self.ndim]), np.uint8)
            if mask is not None:
                there = np.ascontiguousarray(~mask, np.bool_).view(np.uint8).reshape(-1)
        shape = list(region.shape[: self.ndim])
        if not kind.is_variable:
            stored = kind.to_stored(region)
            with self._file._gate.shared():
                handle.write_bytes(self._path, start, shape, stored.reshape(-1).view(np.uint8), there)
            return
        flat = [
            b"" if there is not None and not there[i] else self._payload(v) for i, v in enumerate(region.astype(object).reshape(-1))
        ]
        with self._file._gate.shared():
            handle.write_variable(self._path, start, shape, flat, None if there is None else there.tobytes())

    def _payload(self, value: Any) -> Any:
        width = self._type.width
        if self._type.name == "string":
            if isinstance(value, str) and (width is None or len(value) <= width):
                return str(value)
        elif self._type.name == "binary":
            if isinstance(value, bytes | bytearray | memoryview) and (width is None or len(value) <= width):
                return bytes(value)
        else:
            item = of_file(self._type.name[5:-1]).dtype
            array = np.asarray(value)
            if array.ndim == 1 and (array.size == 0 or np.can_cast(array.dtype, item, "same_kind")):
                return np.ascontiguousarray(array, item).tobytes()
        kind = self._type.name if width is None else f"{self.dtype}, which is {width} long at most"
        raise self._wrong(f"an element {value!r:.50} for an array of {kind}")

    def _set_orthogonal(self, key: Any, values: Any) -> None:
        self._sync()
        axes, count, boxes = indexing.orthogonal(key, self._shape, self._chunk_shape(), self.itemsize)
        kept = [i for i, a in enumerate(axes) if not (isinstance(a, indexing.Run) and a.drop)]
        given, mask = self._spread(*self._given(values), tuple(count[i] for i in kept))
        dropped = tuple(i for i in range(self.ndim) if i not in kept)
        given = np.expand_dims(given, dropped)
        mask = None if mask is None else np.expand_dims(mask, dropped)
        self._update_boxes(boxes, given, mask)

    def _update_boxes(self, boxes: Iterable[indexing.Box], values: np.ndarray, mask: np.ndarray | None) -> None:
        for box in boxes:
            place = np.ix_(*box.place)
            self._update(box.start, box.shape, np.ix_(*box.pick), values[place], None if mask is None else mask[place])

    def _set_points(self, key: Any, values: Any) -> None:
        self._sync()
        coords, shape = indexing.points(key, self._shape)
        given, mask = self._spread(*self._given(values), shape)
        given = given.reshape((coords.shape[1], *self._type.item_shape))
        mask = None if mask is None else mask.reshape(-1)
        for box, which in indexing.point_boxes(coords, self._chunk_shape()):
            which = np.sort(which)  # of two values for one element the last one counts, as in numpy
            pick = tuple(coords[i, which] - box.start[i] for i in range(self.ndim))
            self._update(box.start, box.shape, pick, given[which], None if mask is None else mask[which])

    def resize(self, shape: Iterable[int] | int) -> None:
        """Changes the shape. Elements outside of it are gone; new ones are the fill value.

        Parameters
        ----------
        shape
            As many axes as before.
        """
        self._file._writable().resize(self._path, lengths(shape))
        self._reload()

    def append(self, values: Any, axis: int = 0) -> None:
        """Makes the array longer by `values` on one axis; their other axes are the array's.

        Whole chunks are written without reading anything; the last one is read if it was not full. An array that is to grow should
        have chunks: one that is a single chunk is written as a whole each time.
        """
        self._file._writable()
        with self._file._gate.alone():  # of two threads, one appends to what the other has appended
            self._append(values, axis)

    def _append(self, values: Any, axis: int) -> None:
        self._sync()
        if not -self.ndim <= axis < self.ndim:
            raise self._wrong(f"axis {axis} of an array of {self.ndim} axes")
        axis %= self.ndim
        given, _ = self._given(values)
        full = given.shape[: given.ndim - len(self._type.item_shape)]
        others = [n for i, n in enumerate(self._shape) if i != axis]
        if len(full) != self.ndim or [n for i, n in enumerate(full) if i != axis] != others:
            raise self._wrong(f"values of shape {full} cannot be appended to shape {self._shape} on axis {axis}")
        before = self._shape[axis]
        self.resize([before + full[axis] if i == axis else n for i, n in enumerate(self._shape)])
        self[tuple(slice(before, None) if i == axis else slice(None) for i in range(self.ndim))] = values

    # What it looks like.

    def __repr__(self) -> str:
        return _repr.array(self)

    def _repr_html_(self) -> str:
        return _repr.array_html(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return Array, (self._file, self._path)


class ChunkStatistics:
    """A chunk that was written: its region, and what is known of its elements."""

    def __init__(self, start: tuple[int, ...], shape: tuple[int, ...], stats: Statistics) -> None:
        self.start, self.shape, self.stats = start, shape, stats

    @property
    def region(self) -> tuple[slice, ...]:
        """An index that selects the chunk."""
        return tuple(slice(a, a + n) for a, n in zip(self.start, self.shape, strict=True))

    def __repr__(self) -> str:
        return f"ChunkStatistics(start={self.start}, shape={self.shape}, {self.stats})"


class Indexer:
    """`Array.oindex` and `Array.vindex`."""

    def __init__(self, get: Callable[[Any], Any], put: Callable[[Any, Any], None]) -> None:
        self._get, self._put = get, put

    def __getitem__(self, key: Any) -> Any:
        return self._get(key)

    def __setitem__(self, key: Any, values: Any) -> None:
        self._put(key, values)


def _each(work: Callable[[Any], None], parts: Iterable[Any], *, ordered: bool = False) -> None:
    """Does all parts, several at once if there are several."""
    parts = list(parts)
    if ordered or len(parts) < 2:
        for part in parts:
            work(part)
        return
    with ThreadPoolExecutor(min(READERS, len(parts))) as pool:
        for _ in pool.map(work, parts):
            pass


def _masked(values: Any, mask: Any, items: int, *, scalar: bool = True) -> Any:
    """A masked array; the mask of an element covers all items of its list."""
    if items:
        mask = np.broadcast_to(mask[..., None], np.shape(values))
    if scalar and np.ndim(values) == 0:
        return np.ma.masked if mask else values[()]
    return np.ma.MaskedArray(values, mask)


def _empty(kind: ElementType) -> Any:
    return "" if kind.name == "string" else b"" if kind.name == "binary" else np.empty(0, of_file(kind.name[5:-1]).dtype)


def lengths(shape: Iterable[int] | int) -> list[int]:
    """A shape as a list; one number is the shape of one axis."""
    try:
        given = list(shape) if isinstance(shape, Iterable) else [shape]
        found = [operator.index(n) for n in given]
    except TypeError:
        raise InvalidArgumentError(f"a shape is made of integers, which {shape!r:.50} is not") from None
    if any(not 0 <= n < 2**64 for n in found):
        raise InvalidArgumentError(f"a length is at least 0 and less than 2^64: {shape!r:.50}")
    return found


def _broadcast(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Values as they are assigned to a shape: broadcast, without axes of length 1 that are too many."""
    more = values.ndim - len(shape)
    if more > 0 and values.shape[:more] == (1,) * more:
        values = values.reshape(values.shape[more:])
    return np.broadcast_to(values, shape)


def _one(value: Any) -> Any:
    """An element that is a list, not to be taken for a list of elements."""
    if value is np.ma.masked or isinstance(value, np.ndarray) and value.dtype.kind == "O":
        return value
    element = np.empty((), object)
    element[()] = value
    return element


def _objects_of(values: Any) -> np.ndarray:
    """Lists of varying length as an array of objects; numpy would make axes of lists of one length."""
    if isinstance(values, np.ndarray) and values.ndim:
        array = np.empty(values.shape[:-1], object)
        for at in np.ndindex(array.shape):
            array[at] = values[at]
        return array
    values = list(values)
    array = np.empty(len(values), object)
    for i, value in enumerate(values):
        array[i] = None if is_null(value) else np.asarray(value)
    return array
