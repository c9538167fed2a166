"""What an index selects: numpy's rules, as regions of the file.

A *selection* is one `Axis` for every axis of the array, and what is done with the result. Basic indexing makes one region of it; lists of
integers are split into boxes of neighbouring elements, each read by itself and picked from.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

BOX_BYTES = 64 << 20
"""A box is not made larger than this for the sake of fewer reads."""


@dataclass(frozen=True)
class Run:
    """Elements `start, start + step, ...`, `count` of them; reversed in the result if `flip`."""

    start: int
    count: int
    step: int = 1
    flip: bool = False
    drop: bool = False
    """An integer: the axis is not in the result."""


@dataclass(frozen=True)
class Basic:
    """A selection by integers, slices, ellipsis and newaxis."""

    runs: tuple[Run, ...]
    newaxes: tuple[int, ...]
    """Places of new axes in the result."""

    @property
    def start(self) -> list[int]:
        return [r.start for r in self.runs]

    @property
    def shape(self) -> list[int]:
        return [r.count for r in self.runs]

    @property
    def step(self) -> list[int]:
        return [r.step for r in self.runs]

    @property
    def strided(self) -> bool:
        """Whether elements are skipped or turned around."""
        return any(r.step != 1 or r.flip for r in self.runs)

    @property
    def result_shape(self) -> tuple[int, ...]:
        shape = [r.count for r in self.runs if not r.drop]
        for axis in self.newaxes:
            shape.insert(axis, 1)
        return tuple(shape)

    def finish(self, region: np.ndarray) -> np.ndarray:
        """From the region that was read to the result; `region` may have axes of elements behind the array's."""
        turn = tuple(0 if r.drop else slice(None, None, -1 if r.flip else 1) for r in self.runs)
        result = region[(*turn, ...)] if any(r.drop or r.flip for r in self.runs) else region
        return np.expand_dims(result, self.newaxes) if self.newaxes else result

    def unfinish(self, values: np.ndarray, items: int) -> np.ndarray:
        """From values as assigned, broadcast to the result's shape, to the region that is written."""
        if self.newaxes:
            values = values.reshape([r.count for r in self.runs if not r.drop] + list(values.shape[values.ndim - items :]))
        values = np.expand_dims(values, tuple(i for i, r in enumerate(self.runs) if r.drop))
        turn: tuple[Any, ...] = tuple(slice(None, None, -1 if r.flip else 1) for r in self.runs)
        return values[(*turn, ...)]


def is_fancy(key: Any) -> bool:
    """Whether one part of an index selects by integers or booleans in an array or list."""
    if isinstance(key, np.ndarray):
        return key.ndim > 0 or key.dtype == bool
    return isinstance(key, list | range | bool | np.bool_)


def expand(key: Any, ndim: int, *, newaxes: bool = True) -> tuple[list[Any], tuple[int, ...]]:
    """One part of `key` for each axis, and where the result has new ones."""
    parts = list(key) if isinstance(key, tuple) else [key]
    ellipses = [i for i, p in enumerate(parts) if p is Ellipsis]
    if len(ellipses) > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    if not newaxes and any(p is None for p in parts):
        raise IndexError("newaxis belongs to basic indexing")
    used = sum(p is not None and p is not Ellipsis for p in parts)
    if used > ndim:
        raise IndexError(f"too many indices for array: array is {ndim}-dimensional, but {used} were indexed")
    at = ellipses[0] if ellipses else len(parts)
    parts[at : at + len(ellipses)] = [slice(None)] * (ndim - used)
    axes, new, place = [], [], 0
    for part in parts:
        if part is None:
            new.append(place)
            place += 1
        else:
            axes.append(part)
            place += not _is_integer(part)
    return axes, tuple(new)


def _is_integer(part: Any) -> bool:
    return not isinstance(part, slice) and not is_fancy(part)


def run_of(part: Any, length: int, axis: int) -> Run:
    """What an integer or a slice selects of an axis."""
    if isinstance(part, slice):
        start, stop, step = part.indices(length)
        count = len(range(start, stop, step))
        if count == 0:
            return Run(0, 0)
        if step < 0:
            return Run(start + (count - 1) * step, count, -step if count > 1 else 1, flip=count > 1)
        return Run(start, count, step if count > 1 else 1)
    try:
        index = operator.index(part)
    except TypeError:
        raise IndexError(
            f"an index of type {type(part).__name__}: integers, slices, ellipsis and newaxis are possible here, "
            "and arrays of integers or booleans"
        ) from None
    if not -length <= index < length:
        raise IndexError(f"index {index} is out of bounds for axis {axis} with size {length}")
    return Run(index % length, 1, drop=True)


def basic(key: Any, shape: tuple[int, ...]) -> Basic:
    """A selection by integers, slices, ellipsis and newaxis, as numpy understands them."""
    axes, new = expand(key, len(shape))
    return Basic(tuple(run_of(p, n, i) for i, (p, n) in enumerate(zip(axes, shape, strict=True))), new)


def integers(part: Any, length: int, axis: int) -> np.ndarray | Run:
    """What one part of an orthogonal index selects of an axis: indices in the order of the result, or a run."""
    if not is_fancy(part):
        return run_of(part, length, axis)
    array = np.asarray(part)
    if array.ndim != 1:
        raise IndexError(f"an index of {array.ndim} axes for axis {axis}: one-dimensional arrays select of one axis; see vindex")
    return _checked(array, length, axis)


def _checked(array: np.ndarray, length: int, axis: int) -> np.ndarray:
    if array.dtype == bool:
        if array.shape != (length,):
            raise IndexError(
                f"boolean index did not match indexed array along axis {axis}; "
                f"size of axis is {length} but size of boolean axis is {array.size}"
            )
        return np.flatnonzero(array)
    if array.size == 0 and array.dtype == float:
        array = array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise IndexError(f"arrays used as indices must be of integer (or boolean) type, not {array.dtype}")
    low, high = (int(array.min()), int(array.max())) if array.size else (0, -1)
    if low < -length or high >= length:
        bad = low if low < -length else high
        raise IndexError(f"index {bad} is out of bounds for axis {axis} with size {length}")
    array = array.astype(np.int64)
    return np.where(array < 0, array + length, array)


@dataclass(frozen=True)
class Box:
    """A dense region of the file, what to pick of it on each axis, and where that goes in the result."""

    start: list[int]
    shape: list[int]
    pick: tuple[np.ndarray, ...]
    place: tuple[np.ndarray, ...]


def _clusters(indices: np.ndarray, chunk: int, most: int) -> list[tuple[int, int, np.ndarray, np.ndarray]]:
    """Indices as runs of neighbours: start, length, what is picked, where it goes. Chunks that are not needed are left out."""
    order = np.argsort(indices, kind="stable")
    ordered = indices[order]
    chunks = ordered // max(chunk, 1)
    cut = np.diff(chunks) > 1
    cut |= np.diff(ordered // max(most, 1)) > 0
    found = []
    for part in np.split(np.arange(ordered.size), np.flatnonzero(cut) + 1):
        if part.size:
            values = ordered[part]
            found.append((int(values[0]), int(values[-1] - values[0] + 1), values - values[0], order[part]))
    return found


def orthogonal(
    key: Any, shape: tuple[int, ...], chunks: tuple[int, ...], itemsize: int
) -> tuple[list[np.ndarray | Run], tuple[int, ...], Iterator[Box]]:
    """A selection on each axis by itself: the axes, the shape of the result before integers are dropped, and the boxes to read."""
    parts, _ = expand(key, len(shape), newaxes=False)
    axes = [integers(p, n, i) for i, (p, n) in enumerate(zip(parts, shape, strict=True))]
    lists = [a if isinstance(a, np.ndarray) else _indices(a) for a in axes]
    count = tuple(len(a) for a in lists)
    return axes, count, boxes(lists, chunks, itemsize) if 0 not in count else iter(())


def boxes(lists: list[np.ndarray], chunks: tuple[int, ...], itemsize: int) -> Iterator[Box]:
    """The boxes that hold the elements of an orthogonal selection, none of them empty."""
    # An axis is cut where a box would hold more than it should, at a chunk's border.
    clusters, room = [], max(BOX_BYTES // max(itemsize, 1), 1)
    for indices, chunk in zip(reversed(lists), reversed(chunks), strict=True):
        most = max(room // max(chunk, 1), 1) * chunk
        found = _clusters(indices, chunk, most)
        clusters.append(found)
        room = max(room // max(length for _, length, _, _ in found), 1)
    clusters.reverse()
    return (_box(c) for c in itertools.product(*clusters))


def _indices(run: Run) -> np.ndarray:
    indices = run.start + run.step * np.arange(run.count)
    return indices[::-1] if run.flip else indices


def _box(parts: tuple[tuple[int, int, np.ndarray, np.ndarray], ...]) -> Box:
    return Box([p[0] for p in parts], [p[1] for p in parts], tuple(p[2] for p in parts), tuple(p[3] for p in parts))


def points(key: Any, shape: tuple[int, ...]) -> tuple[np.ndarray, tuple[int, ...]]:
    """A selection of points: their coordinates [axes, points], and the shape of the result.

    `key` is a boolean array of the array's shape, or integer arrays that are broadcast together, one for each axis.
    """
    parts = key if isinstance(key, tuple) else (key,)
    if len(parts) == 1 and np.asarray(parts[0]).dtype == bool and np.ndim(parts[0]) == len(shape):
        mask = np.asarray(parts[0])
        if mask.shape != tuple(shape):
            raise IndexError(f"boolean index of shape {mask.shape} for an array of shape {tuple(shape)}")
        coords = np.stack(np.nonzero(mask)) if shape else np.zeros((0, int(mask)), np.int64)
        return coords, (coords.shape[1],)
    if len(parts) != len(shape):
        raise IndexError(
            f"vindex needs one array of integers for each of the {len(shape)} axes, or one boolean array of their shape; got {len(parts)}"
        )
    arrays = [np.asarray(p) for p in parts]
    for axis, array in enumerate(arrays):
        if array.dtype == bool or isinstance(parts[axis], slice):
            raise IndexError("vindex takes arrays of integers; slices and booleans of one axis belong to oindex")
    arrays = [_checked(a, n, i) for i, (a, n) in enumerate(zip(arrays, shape, strict=True))]
    together = np.broadcast_arrays(*arrays) if arrays else [np.zeros((), np.int64)]
    result = together[0].shape
    return np.stack([a.reshape(-1) for a in together]) if arrays else np.zeros((0, 1), np.int64), result


def point_boxes(coords: np.ndarray, chunks: tuple[int, ...]) -> Iterator[tuple[Box, np.ndarray]]:
    """The points of each chunk: the box around them, their places in it, and which ones they are."""
    ndim, count = coords.shape
    if count == 0:
        return
    if ndim == 0:
        yield Box([], [], (), ()), np.arange(count)
        return
    homes = coords // np.maximum(np.asarray(chunks, np.int64), 1)[:, None]
    order = np.lexsort(homes[::-1])
    changes = np.any(np.diff(homes[:, order], axis=1) != 0, axis=0)
    for which in np.split(order, np.flatnonzero(changes) + 1):
        inside = coords[:, which]
        low, high = inside.min(axis=1), inside.max(axis=1)
        yield Box(low.tolist(), (high - low + 1).tolist(), tuple(inside - low[:, None]), ()), which
