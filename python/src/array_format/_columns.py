"""Tables over all arrays of a file: attributes and statistics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _repr
from ._attributes import from_file
from ._dtypes import STRING, scalar_dtype

if TYPE_CHECKING:
    import pandas
    import pyarrow


class Table(Mapping[str, np.ndarray]):
    """Columns of numpy, one row an array; missing values are masked.

    The column ``"name"`` holds the paths of the arrays.
    """

    def __init__(self, columns: dict[str, np.ndarray]) -> None:
        self._columns = columns

    def __getitem__(self, name: str) -> np.ndarray:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    @property
    def num_rows(self) -> int:
        """The number of rows."""
        return len(self._columns["name"])

    def where(self, mask: np.ndarray) -> Table:
        """The rows that `mask` selects; a masked condition selects nothing."""
        mask = np.ma.filled(mask, False)
        return Table({k: v[mask] for k, v in self._columns.items()})

    def to_pandas(self) -> pandas.DataFrame:
        """A data frame with the names as its index; missing values are what pandas has for them."""
        import pandas

        data = {k: _series(v) for k, v in self._columns.items() if k != "name"}
        return pandas.DataFrame(data, index=pandas.Index(_objects(self._columns["name"]), name="name"))

    def to_arrow(self) -> pyarrow.Table:
        """A table of pyarrow."""
        import pyarrow

        return pyarrow.table({k: _arrow(v) for k, v in self._columns.items()})

    def __repr__(self) -> str:
        return _repr.table(self)

    def _repr_html_(self) -> str:
        return _repr.table_html(self)


def names(paths: list[str]) -> np.ndarray:
    """Paths as a column."""
    return np.array(paths, STRING) if paths else np.empty(0, STRING)


def column(found: tuple[Any, ...]) -> np.ndarray:
    """A column of values as the Rust library hands it over; masked where there is none."""
    kind, *payload = found
    if kind == "string":
        (texts,) = payload
        gone = np.array([t is None for t in texts], bool)
        values = np.array(["" if t is None else t for t in texts], STRING) if texts else np.empty(0, STRING)
    elif kind == "mixed":
        (items,) = payload
        gone = np.array([v is None for v in items], bool)
        values = np.empty(len(items), object)
        for i, value in enumerate(items):
            values[i] = None if value is None else from_file(*value)
    else:
        raw, there = payload
        values = np.frombuffer(raw, scalar_dtype(kind)).copy()
        gone = np.frombuffer(there, np.uint8) == 0
    return np.ma.MaskedArray(values, gone) if gone.any() else values


def aligned(rows: list[str], of: list[str], values: np.ndarray) -> np.ndarray:
    """A column with a value for each of `rows`, masked where `of` does not name it."""
    place = {name: i for i, name in enumerate(of)}
    found = np.array([place.get(name, -1) for name in rows], np.intp)
    gone = found < 0
    if not len(of):
        return np.ma.MaskedArray(np.empty(len(rows), values.dtype), True)
    picked = values[np.where(gone, 0, found)]
    return np.ma.MaskedArray(np.ma.getdata(picked), gone | np.ma.getmaskarray(picked)) if gone.any() else picked


def counts(values: np.ndarray) -> np.ndarray:
    """Counts, which are -1 where they are not known."""
    gone = values < 0
    return np.ma.MaskedArray(values, gone) if gone.any() else values


def _objects(values: np.ndarray) -> np.ndarray:
    data = np.ma.getdata(values).astype(object)
    mask = np.ma.getmaskarray(values)
    if mask.any():
        data = data.copy()
        data[mask] = None
    return data


def _series(values: np.ndarray) -> Any:
    import pandas

    if values.dtype.kind in "OT":
        return _objects(values)
    if not isinstance(values, np.ma.MaskedArray):
        return values
    if values.dtype.kind in "iub":
        dtype = "boolean" if values.dtype.kind == "b" else values.dtype.name.replace("i", "I", 1).replace("u", "U", 1)
        return pandas.array(_objects(values), dtype=dtype)
    data = np.array(values.data)
    data[np.ma.getmaskarray(values)] = "NaT" if data.dtype.kind in "Mm" else np.nan
    return data


def _arrow(values: np.ndarray) -> Any:
    import pyarrow

    mask = np.ma.getmaskarray(values)
    data = np.ma.getdata(values)
    if data.dtype.kind == "O":
        try:
            return pyarrow.array(_objects(values))
        except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError):  # values of several types: as text
            return pyarrow.array([None if gone else str(v) for v, gone in zip(data, mask, strict=True)])
    if data.dtype.kind == "T":
        return pyarrow.array(data.astype(object), pyarrow.string(), mask=mask if mask.any() else None)
    return pyarrow.array(data, mask=mask if mask.any() else None)
