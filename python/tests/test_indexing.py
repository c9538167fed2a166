"""Reading and assigning by index gives what numpy gives."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import array_format as af

CASES = int(os.environ.get("AF_INDEX_CASES", "300"))
"""Random arrays, with several selections each: 300 in the normal run, 10,000 in the long form."""

Random = np.random.Generator


def random_slice(rng: Random, length: int) -> slice:
    def end() -> int | None:
        return None if rng.random() < 0.3 else int(rng.integers(-length - 3, length + 4))

    step = [None, 1, 2, 3, 7, -1, -2, -5][rng.integers(8)]
    return slice(end(), end(), step)


def random_integer(rng: Random, length: int) -> Any:
    index = int(rng.integers(-length, length))
    return index if rng.random() < 0.7 else [np.int64, np.int8, np.array][rng.integers(3)](index)


def random_list(rng: Random, length: int) -> Any:
    """Integers in any order, negative and repeated ones too; or a mask."""
    kind = rng.integers(5)
    if kind == 0:
        mask = rng.random(length) < rng.random()
        return mask if rng.random() < 0.7 else mask.tolist()
    if length == 0 or kind == 1 and rng.random() < 0.2:
        return np.empty(0, np.int64)
    indices = rng.integers(-length, length, int(rng.integers(1, 2 * length + 2)))
    if kind == 2:
        indices = np.unique(indices)
    return indices.tolist() if rng.random() < 0.3 else indices.astype([np.int64, np.int32, np.int8][rng.integers(3)])


def random_basic(rng: Random, shape: tuple[int, ...]) -> Any:
    parts: list[Any] = []
    for length in shape[: rng.integers(0, len(shape) + 1)]:
        parts.append(random_integer(rng, length) if length and rng.random() < 0.35 else random_slice(rng, length))
    if rng.random() < 0.4:  # an ellipsis anywhere: what is behind it selects of the last axes
        at = int(rng.integers(0, len(parts) + 1))
        behind = len(parts) - at
        lengths = shape[len(shape) - behind :] if behind else ()
        parts[at:] = [Ellipsis, *(random_integer(rng, n) if n and rng.random() < 0.35 else random_slice(rng, n) for n in lengths)]
    for _ in range(rng.integers(0, 3) if rng.random() < 0.3 else 0):
        parts.insert(int(rng.integers(0, len(parts) + 1)), None)
    return parts[0] if len(parts) == 1 and rng.random() < 0.5 else tuple(parts)


def random_orthogonal(rng: Random, shape: tuple[int, ...]) -> tuple[Any, ...]:
    parts = []
    for length in shape:
        kind = rng.random()
        if kind < 0.5:
            parts.append(random_list(rng, length))
        else:
            parts.append(random_integer(rng, length) if length and kind < 0.6 else random_slice(rng, length))
    return tuple(parts)


def random_points(rng: Random, shape: tuple[int, ...]) -> Any:
    if rng.random() < 0.3 or 0 in shape or not shape:
        return rng.random(shape) < rng.random() if shape else np.array(rng.random() < 0.5)
    result = tuple(rng.integers(0, 5, int(rng.integers(0, 4))))
    parts = []
    for length in shape:
        one = tuple(1 if rng.random() < 0.2 else n for n in result)[rng.integers(0, len(result) + 1) if rng.random() < 0.1 else 0 :]
        parts.append(rng.integers(-length, length, one))
    return tuple(parts)


def open_mesh(key: tuple[Any, ...], shape: tuple[int, ...]) -> tuple[Any, ...]:
    """An orthogonal selection in numpy's words: an open mesh; integers are lists of one here."""
    lists = []
    for part, length in zip(key, shape, strict=True):
        part = np.asarray(part, None if part else np.int64) if isinstance(part, list) else part
        chosen = np.arange(length)[part]
        lists.append(np.atleast_1d(chosen))
    return np.ix_(*lists)


def dropped(key: tuple[Any, ...]) -> tuple[int, ...]:
    """Axes that integers take away."""
    return tuple(i for i, p in enumerate(key) if not isinstance(p, slice | list) and np.ndim(p) == 0)


Case = tuple[np.ndarray, af.Array, Random]


def cases(dtypes: list[str], count: int) -> list[tuple[int, str]]:
    return [(i, dtypes[i % len(dtypes)]) for i in range(count)]


def random_array(seed: int, dtype: str, file: af.File) -> Case:
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(0, 9, int(rng.integers(0, 5))))
    if rng.random() < 0.8:
        shape = tuple(max(n, 1) for n in shape)
    values = rng.integers(0, 100, shape).astype(dtype)
    chunks = None if rng.random() < 0.2 else [int(rng.integers(1, max(n, 1) + 2)) for n in shape]
    name = f"{seed}"
    array = file.create_array(name, values, chunks=chunks, dtype="string" if dtype == "O" else None)
    return values, array, rng


def assert_same(found: Any, expected: Any, key: Any) -> None:
    assert np.shape(found) == np.shape(expected), key
    assert isinstance(found, np.ndarray) == isinstance(expected, np.ndarray), key
    assert np.array_equal(found, expected), key


DTYPES = ["i4", "f8", "U3", "M8[us]", "?", "i1", "S2", "M8[D]"]
BATCH = 50


def each(check: Callable[[Case], None], batch: int) -> None:
    """A batch of random arrays in one file, committed or pending."""
    first = batch * BATCH
    with af.open(f"memory://indexing/{check.__name__}/{batch}.af", "w") as file:
        made = [random_array(i, DTYPES[i % len(DTYPES)], file) for i in range(first, min(first + BATCH, CASES))]
        if batch % 2:
            file.commit()
        for case in made:
            check(case)


batches = pytest.mark.parametrize("batch", range(-(-CASES // BATCH)))


def reads(case: Case) -> None:
    values, array, rng = case
    for _ in range(4):
        key = random_basic(rng, values.shape)
        assert_same(array[key], values[key], key)
    key = random_orthogonal(rng, values.shape)
    expected = values[open_mesh(key, values.shape)]
    assert_same(np.asarray(array.oindex[key]), np.asarray(np.squeeze(expected, dropped(key))), key)
    key = random_points(rng, values.shape)
    assert_same(np.asarray(array.vindex[key]), np.asarray(values[key]), key)
    if values.ndim:
        parts: list[Any] = [random_slice(rng, n) for n in values.shape]
        axis = int(rng.integers(values.ndim))
        parts[axis] = random_list(rng, values.shape[axis])
        assert_same(array[tuple(parts)], values[tuple(parts)], parts)
        mask = rng.random(values.shape) < 0.3
        assert_same(array[mask], values[mask], mask)


def assigns(case: Case) -> None:
    values, array, rng = case
    values = values.copy()

    def some(shape: tuple[int, ...]) -> np.ndarray:
        """Values for a selection: as many as it has, or fewer that are broadcast."""
        shape = tuple(1 if rng.random() < 0.2 else n for n in shape)[int(rng.integers(0, len(shape) + 1)) if rng.random() < 0.2 else 0 :]
        return rng.integers(0, 100, shape).astype("i8").astype(values.dtype)

    for _ in range(3):
        key = random_basic(rng, values.shape)
        new = some(values[key].shape)
        array[key] = values[key] = new
        assert np.array_equal(array[...], values), key
    key = random_orthogonal(rng, values.shape)
    mesh = open_mesh(key, values.shape)
    shape = np.squeeze(values[mesh], dropped(key)).shape
    new = rng.integers(0, 100, shape).astype("i8").astype(values.dtype)
    array.oindex[key] = new
    values[mesh] = np.expand_dims(new, dropped(key))
    assert np.array_equal(array[...], values), key
    key = random_points(rng, values.shape)
    new = some(values[key].shape)
    array.vindex[key] = values[key] = new
    assert np.array_equal(array[...], values), key
    if values.ndim:
        parts: list[Any] = [random_slice(rng, n) for n in values.shape]
        axis = int(rng.integers(values.ndim))
        parts[axis] = random_list(rng, values.shape[axis])
        new = some(values[tuple(parts)].shape)
        array[tuple(parts)] = values[tuple(parts)] = new
        mask = rng.random(values.shape) < 0.3
        new = some((int(mask.sum()),))
        array[mask] = values[mask] = new
        assert np.array_equal(array[...], values), (parts, mask)


@batches
def test_reading_gives_what_numpy_gives(batch: int) -> None:
    each(reads, batch)


@batches
def test_assigning_does_what_numpy_does(batch: int) -> None:
    each(assigns, batch)


@pytest.mark.parametrize("seed", range(20))
def test_nulls_move_with_their_values(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.ma.MaskedArray(rng.integers(0, 100, (6, 7)), rng.random((6, 7)) < 0.4)
    with af.open(f"memory://indexing/nulls/{seed}.af", "w") as file:
        array = file.create_array("a", values, chunks=(3, 4), nullable=True)
        for _ in range(5):
            key = random_basic(rng, values.shape)
            found, expected = array[key], values[key]
            assert np.array_equal(np.ma.getmaskarray(found), np.ma.getmaskarray(expected)), key
            assert np.array_equal(np.ma.filled(found, -1), np.ma.filled(expected, -1)), key
            new = np.ma.MaskedArray(rng.integers(0, 100, np.shape(expected)), rng.random(np.shape(expected)) < 0.4)
            array[key] = new
            values[key] = new
            mesh = random_orthogonal(rng, values.shape)
            plain = np.squeeze(values[open_mesh(mesh, values.shape)], dropped(mesh))
            found = array.oindex[mesh]
            assert np.array_equal(np.ma.filled(found, -1), np.ma.filled(plain, -1)), mesh
            points = random_points(rng, values.shape)
            new = np.ma.MaskedArray(rng.integers(0, 100, values[points].shape), rng.random(values[points].shape) < 0.4)
            array.vindex[points] = new
            values[points] = new
            assert np.array_equal(np.ma.filled(array[...], -1), values.filled(-1)), points


BAD = [
    (5,),
    (-6,),
    (0, 0, 0),
    (..., ...),
    1.5,
    "x",
    [5],
    [-6],
    [1.5],
    ([0], [0]),
    (slice(None), [9]),
    np.zeros(4, bool),
    (slice(None), np.zeros(5, bool)),
    np.zeros((4, 4), bool),
    np.zeros((5, 5), bool),
    [[0, 1], [1, 0]],
    True,
    {0},
]


@pytest.mark.parametrize("key", BAD, ids=repr)
def test_what_is_no_index(key: Any) -> None:
    file = af.open("memory://indexing/bad.af", "w")
    values = np.arange(20).reshape(5, 4)
    array = file.create_array("a", values, chunks=(2, 2))
    for select in (array,) if isinstance(key, tuple) and key == ([0], [0]) else (array, array.oindex, array.vindex):
        with pytest.raises(IndexError):
            select[key]
        with pytest.raises(IndexError):
            select[key] = 1
    assert np.array_equal(array[...], values)
    file.discard()


WRONG_SHAPES = [(slice(0, 3), (2,)), ((slice(None), 0), (4,)), (0, (2, 4)), ((0, 0), (2,)), (slice(0, 0), (3,))]


@pytest.mark.parametrize(("key", "shape"), WRONG_SHAPES)
def test_values_of_another_shape_are_refused(key: Any, shape: tuple[int, ...]) -> None:
    file = af.open("memory://indexing/shape.af", "w")
    array = file.create_array("a", shape=(5, 4), dtype="i4")
    with pytest.raises(af.InvalidArgumentError, match="selection of shape .*'a'"):
        array[key] = np.zeros(shape)
    file.discard()


def test_a_value_at_two_places_is_the_last_one() -> None:
    file = af.open("memory://indexing/twice.af", "w")
    array = file.create_array("a", shape=10, dtype="i4", chunks=3)
    array.vindex[[1, 9, 1]] = [5, 6, 7]
    array.oindex[[0, 0]] = [1, 2]
    assert array[...].tolist() == [2, 7, 0, 0, 0, 0, 0, 0, 0, 6]
    file.discard()


def test_few_rows_of_a_large_array_read_few_chunks(path: str) -> None:
    with af.open(path, "w") as file:
        file.create_array("a", np.arange(1_000_000, dtype="i4").reshape(1000, 1000), chunks=(10, 1000), codec="none")
    for select in (lambda a: a.oindex[[3, 990]], lambda a: a.vindex[[3, 990], [5, 7]], lambda a: a[3:4]):
        file = af.open(path)
        before = file.counters["bytes"]
        select(file["a"])
        assert file.counters["bytes"] - before < 200_000


def test_arrays_as_numpy_arrays() -> None:
    file = af.open("memory://indexing/protocol.af", "w")
    values = np.arange(12.0).reshape(3, 4)
    array = file.create_array("a", values, chunks=(2, 2))
    assert np.array_equal(np.asarray(array), values) and np.asarray(array, "f4").dtype == "f4"
    assert np.sum(array) == 66.0 and np.array_equal(np.array(array, copy=True), values)
    with pytest.raises(ValueError, match="copy"):
        np.array(array, copy=False)
    assert len(array) == 3 and [row.tolist() for row in array] == values.tolist()
    assert array.size == 12 and array.nbytes == 96 and array.itemsize == 8 and array.ndim == 2
    with pytest.raises(ValueError, match="ambiguous"):
        bool(array)
    zero = file.create_array("z", 5)
    assert int(zero) == 5 and float(zero) == 5.0 and bool(zero) and zero[()] == 5 and zero.shape == ()
    with pytest.raises(TypeError):
        len(zero)
    with pytest.raises(TypeError):
        iter(zero).__next__()
    zero[...] = 7
    zero[()] = 8
    assert zero[...] == 8
    nulls = file.create_array("n", [1, None], dtype="i4")
    with pytest.raises(af.InvalidArgumentError, match="filled"):
        np.asarray(nulls)
    file.discard()


def test_an_array_is_assigned_from_another_array() -> None:
    file = af.open("memory://indexing/arrays.af", "w")
    one = file.create_array("one", np.arange(4))
    two = file.create_array("two", shape=(2, 4), dtype="i8")
    two[1] = one
    file["three"] = two
    assert file["three"][...].tolist() == [[0, 0, 0, 0], [0, 1, 2, 3]]
    file.discard()


def test_steps_over_an_array_that_is_larger_than_memory() -> None:
    file = af.open("memory://indexing/huge.af", "w")
    array = file.create_array("a", shape=(2**40, 2), dtype="f4", chunks=(2**16, 2))
    array[:: 2**39, 1] = [5, 6]
    array[-1 :: -(2**39), 0] = [8, 9]
    assert array[:: 2**39].tolist() == [[0, 5], [0, 6]] and array[-1, 0] == 8 and array[2**39 - 1, 0] == 9
    assert array.oindex[[-1, 2**39]].tolist() == [[8, 0], [0, 6]] and array.vindex[[2**39], [1]].tolist() == [6]
    assert array.stats.count <= 2**20
    file.discard()


def test_ranges_are_lists() -> None:
    file = af.open("memory://indexing/range.af", "w")
    array = file.create_array("a", np.arange(10))
    assert array[range(8, 2, -3)].tolist() == [8, 5] and array.oindex[range(2)].tolist() == [0, 1]
    file.discard()
