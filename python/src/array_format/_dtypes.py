"""Element types: between numpy's and the file's.

Most types of numpy are types of the file. The others are stored as the nearest one, and the array's hidden attribute
`array_format.dtype` says what to make of it again: fixed-width texts (``<U10``), bytes (``S8``), structures, and times in units that
the file does not have.
"""

from __future__ import annotations

import ast
import datetime
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from .errors import InvalidArgumentError, UnsupportedError

HIDDEN = "array_format."
"""Attributes whose names begin like this are the package's own."""

DTYPE_ATTRIBUTE = HIDDEN + "dtype"

STRING = np.dtypes.StringDType()

_NUMBERS = {
    "bool": "?",
    "i8": "i1",
    "i16": "<i2",
    "i32": "<i4",
    "i64": "<i8",
    "u8": "u1",
    "u16": "<u2",
    "u32": "<u4",
    "u64": "<u8",
    "f16": "<f2",
    "f32": "<f4",
    "f64": "<f8",
    "complex64": "<c8",
    "complex128": "<c16",
    "timestamp[s]": "<M8[s]",
    "timestamp[ms]": "<M8[ms]",
    "timestamp[us]": "<M8[us]",
    "timestamp[ns]": "<M8[ns]",
    "duration[s]": "<m8[s]",
    "duration[ms]": "<m8[ms]",
    "duration[us]": "<m8[us]",
    "duration[ns]": "<m8[ns]",
}
_NAMES = {np.dtype(v): k for k, v in _NUMBERS.items()}
_LIST = re.compile(r"list<(?P<item>[^;]+)(?:; (?P<len>\d+))?>")

# Units of fixed length that seconds can hold; months and years of dates are the seconds at their beginning.
_IN_SECONDS = {"M8": ("h", "m", "D", "W", "M", "Y"), "m8": ("h", "m", "D", "W")}


@dataclass(frozen=True)
class ElementType:
    """How the elements of an array are kept, and what they are to numpy.

    Attributes
    ----------
    name : str
        The type in the file: ``"f32"``, ``"string"``, ``"list<i64; 3>"``.
    dtype : numpy.dtype
        What reading returns.
    stored : numpy.dtype or None
        The bytes of the file; `None` where elements vary in length.
    hidden : str or None
        The value of the hidden attribute, where the file's type does not say all.
    """

    name: str
    dtype: np.dtype
    stored: np.dtype | None
    hidden: str | None = None

    @property
    def is_variable(self) -> bool:
        """Whether elements vary in length."""
        return self.stored is None

    @property
    def dense(self) -> np.dtype:
        """`stored`, of elements that do not vary in length."""
        assert self.stored is not None, f"elements of {self.name} vary in length"
        return self.stored

    @property
    def item_shape(self) -> tuple[int, ...]:
        """The axes that one element adds to a result: those of a list of fixed length."""
        return () if self.stored is None or self.dtype.kind == "V" and self.hidden is not None else self.stored.shape

    @property
    def width(self) -> int | None:
        """Letters or bytes that an element can have at most: those of numpy's texts and bytes of fixed width."""
        return self.dtype.itemsize // (4 if self.dtype.kind == "U" else 1) if self.dtype.kind in "US" else None

    def from_stored(self, values: np.ndarray) -> np.ndarray:
        """What was read, as the dtype that users see."""
        if self.hidden is None:
            return values
        if self.stored is not None and self.stored.base == np.uint8 and self.dtype.kind == "V":
            return values.reshape(-1).view(self.dtype).reshape(values.shape[:-1])
        return values.view(self.dtype) if self.stored == np.int64 else values.astype(self.dtype)

    def to_stored(self, values: np.ndarray) -> np.ndarray:
        """Values of `dtype` as the bytes of the file: dense, in row-major order, little-endian.

        A list of fixed length is an axis of its own, as numpy does it.
        """
        if self.hidden is not None and self.stored is not None:
            if self.dtype.kind == "V":
                dense = np.ascontiguousarray(values, self.dtype).reshape(values.shape)
                return dense.reshape(-1).view(np.uint8).reshape(*values.shape, self.dtype.itemsize)
            if self.stored == np.int64:
                return np.ascontiguousarray(values, self.dtype).view(np.int64)
            exact = values.astype(self.stored)
            if not np.array_equal(exact.astype(self.dtype), values, equal_nan=True):
                raise InvalidArgumentError(f"values of {self.dtype} that {self.stored} cannot hold")
            return np.ascontiguousarray(exact)
        base = self.stored.base if self.stored is not None else self.dtype
        return np.ascontiguousarray(values, base).reshape(values.shape)


def bfloat16() -> np.dtype:
    """numpy's bfloat16, which another package brings."""
    try:
        import ml_dtypes
    except ImportError as e:
        raise UnsupportedError("bfloat16 needs the package ml_dtypes: pip install 'array-format[bfloat16]'") from e
    return np.dtype(ml_dtypes.bfloat16)


def scalar_dtype(name: str) -> np.dtype:
    """numpy's type for a scalar of the file."""
    if name == "bf16":
        return bfloat16()
    try:
        return np.dtype(_NUMBERS[name])
    except KeyError:
        raise UnsupportedError(f"elements of type {name} are not known to this version of the package") from None


@lru_cache(maxsize=256)
def of_file(name: str, hidden: str | None = None) -> ElementType:
    """The element type of an array in a file."""
    if hidden is not None:
        return _with_hidden(name, hidden)
    if name == "string":
        return ElementType(name, STRING, None)
    if name == "binary":
        return ElementType(name, np.dtype(object), None)
    if match := _LIST.fullmatch(name):
        if match["len"] is None:
            return ElementType(name, np.dtype(object), None)
        dtype = np.dtype((scalar_dtype(match["item"]), (int(match["len"]),)))
        return ElementType(name, dtype, dtype)
    dtype = scalar_dtype(name)
    return ElementType(name, dtype, dtype)


def _with_hidden(name: str, hidden: str) -> ElementType:
    plain = of_file(name)
    try:
        dtype = np.lib.format.descr_to_dtype(ast.literal_eval(hidden)) if hidden.startswith("[") else np.dtype(hidden)
    except (TypeError, ValueError, SyntaxError):
        raise UnsupportedError(f"the attribute {DTYPE_ATTRIBUTE} is {hidden!r}, which numpy does not know") from None
    if dtype.kind == "O" or dtype.hasobject:
        raise UnsupportedError(f"the attribute {DTYPE_ATTRIBUTE} is {hidden!r}")
    fits = {
        "U": name == "string",
        "S": name == "binary",
        "V": plain.stored is not None and plain.stored.base == np.uint8 and plain.stored.shape == (dtype.itemsize,),
        "M": name in ("timestamp[s]", "i64"),
        "m": name in ("duration[s]", "i64"),
    }
    if not fits.get(dtype.kind, False):
        return plain  # somebody else has redefined the array
    return ElementType(name, dtype, plain.stored, hidden)


def of_numpy(dtype: Any) -> ElementType:
    """The element type for a dtype of numpy, or a name of the file's own types.

    Raises
    ------
    InvalidArgumentError
        For a dtype that cannot be kept, and for `object`, which says nothing: values are needed then.
    """
    if isinstance(dtype, str) and (dtype in ("string", "binary", "bf16") or dtype in _NUMBERS or _LIST.fullmatch(dtype)):
        if dtype not in ("i8", "u8"):  # eight bytes to numpy, and eight bits to the file: numpy's users are here
            return of_file(dtype)
    if dtype is str:
        return of_file("string")
    if dtype is bytes:
        return of_file("binary")
    try:
        dtype = np.dtype(dtype)
    except TypeError as e:
        raise InvalidArgumentError(f"{dtype!r} is no type of elements: {e}") from None
    if dtype.kind == "T":
        return of_file("string")
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        if len(shape) == 1:
            return of_file(f"list<{_scalar_name(base)}; {shape[0]}>")
        raise InvalidArgumentError(f"elements of {dtype}: a list in an element has one axis")
    if dtype.kind == "O":
        raise InvalidArgumentError(
            'elements of type object can be anything: give values, or say "string", "binary" or "list<f64>"'
        )
    native = dtype.newbyteorder("<")
    if native in _NAMES:
        return ElementType(_NAMES[native], np.dtype(_NUMBERS[_NAMES[native]]), np.dtype(_NUMBERS[_NAMES[native]]))
    if dtype.name == "bfloat16":
        return of_file("bf16")
    if dtype.kind in "US" and not dtype.itemsize:  # of no width yet: of any
        return of_file("string" if dtype.kind == "U" else "binary")
    if dtype.kind == "U":
        return ElementType("string", native, None, native.str)
    if dtype.kind == "S":
        return ElementType("binary", native, None, native.str)
    if dtype.kind == "V" and dtype.itemsize and not dtype.hasobject:
        text = native.str if dtype.names is None else repr(np.lib.format.dtype_to_descr(dtype))
        stored = np.dtype((np.uint8, (dtype.itemsize,)))
        return ElementType(f"list<u8; {dtype.itemsize}>", dtype, stored, text)
    if dtype.kind in "Mm":
        unit, count = np.datetime_data(native)
        kind = native.str[1:3]
        if count == 1 and unit in _IN_SECONDS[kind]:
            name = "timestamp[s]" if kind == "M8" else "duration[s]"
            return ElementType(name, native, np.dtype(f"<{kind}[s]"), native.str)
        return ElementType("i64", native, np.dtype("<i8"), native.str)
    raise InvalidArgumentError(f"arrays of {dtype} cannot be kept in a file")


def _scalar_name(dtype: np.dtype) -> str:
    if dtype.name == "bfloat16":
        return "bf16"
    try:
        return _NAMES[dtype.newbyteorder("<")]
    except KeyError:
        raise InvalidArgumentError(f"a list of {dtype} in an element") from None


def of_values(values: np.ndarray) -> tuple[ElementType, bool]:
    """The element type that holds values, and whether there are nulls among them.

    Objects are looked at: all texts, all bytes, all numbers, or all one-dimensional arrays of numbers of one type; `None` is null.
    """
    nullable = isinstance(values, np.ma.MaskedArray)
    if values.dtype.kind == "T":
        missing = not isinstance(getattr(values.dtype, "na_object", ""), str)
        return of_file("string"), nullable or missing
    if values.dtype.kind != "O":
        return of_numpy(values.dtype), nullable
    flat = np.asarray(values).reshape(-1)
    hidden = np.ma.getmaskarray(values).reshape(-1) if nullable else np.zeros(flat.shape, bool)
    some = [v for v, gone in zip(flat, hidden, strict=True) if not gone and not is_null(v)]
    nullable = nullable or len(some) < flat.size
    if all(isinstance(v, str) for v in some):
        return of_file("string"), nullable
    if all(isinstance(v, bytes | bytearray | memoryview) for v in some):
        return of_file("binary"), nullable
    items = {_item_of(v) for v in some}
    if len(items) == 1 and None not in items:
        return of_file(f"list<{items.pop()}>"), nullable
    if number := _number_of(some):
        return number, nullable
    kinds = sorted({type(v).__name__ for v in some})
    raise InvalidArgumentError(
        f"an array of objects of {', '.join(kinds)}: they have to be all texts, all bytes, all numbers, "
        "or all one-dimensional arrays of one dtype"
    )


def as_array(values: Any, kind: ElementType) -> np.ndarray:
    """Values as numpy has them; tuples as structures, where these are the elements."""
    if kind.dtype.names is None or not isinstance(values, list | tuple):
        return np.asarray(values)
    try:
        return np.asarray(values, kind.dtype)
    except (TypeError, ValueError) as e:
        raise InvalidArgumentError(f"values that are no {kind.dtype}: {e}") from None


def exact_cast(values: np.ndarray, dtype: np.dtype) -> np.ndarray | None:
    """Values as `dtype`, or `None` if they would not be the same values.

    Floats may be rounded. Integers that are written as floats, and days that are written as nanoseconds, are what they are.
    """
    times = dtype.kind in "Mm"
    if times and values.dtype.kind in "UT":
        return values.astype(dtype)
    floats = dtype.kind in "fc" or dtype.name == "bfloat16"
    # A wider unit of time can overflow, which is safe to numpy.
    if not times and np.can_cast(values.dtype, dtype, "same_kind" if floats else "safe"):
        return values.astype(dtype)
    if values.dtype.kind in "USTO" or dtype.kind in "USTOV" or values.dtype.names is not None:
        return None
    if values.dtype.kind == "c" and dtype.kind != "c":
        if values.imag.any():
            return None
        values = values.real
    with np.errstate(invalid="ignore", over="ignore"):
        cast = values.astype(dtype)
        same = np.array_equal(cast.astype(values.dtype), values, equal_nan=values.dtype.kind in "fcMm")
    return cast if same else None


def is_null(value: Any) -> bool:
    """Whether an object of an array means that nothing is there: `None`, or the NaN or NA that pandas writes among texts."""
    if value is None:
        return True
    if isinstance(value, float | np.floating):
        return bool(np.isnan(value))
    return type(value).__name__ in ("NAType", "NaTType")


def _number_of(values: list[Any]) -> ElementType | None:
    """The element type that holds numbers, or times, or booleans."""
    if len({isinstance(v, bool | np.bool_) for v in values}) != 1 or any(np.ndim(v) for v in values):
        return None
    times = {"M8[us]": (datetime.date, datetime.datetime), "m8[us]": (datetime.timedelta,)}
    # Of these types exactly: those of pandas have nanoseconds.
    found = [name for name, types in times.items() if all(type(v) in types and getattr(v, "tzinfo", None) is None for v in values)]
    dtype = np.array(values, *found).dtype
    return of_numpy(dtype) if dtype.kind in "?biufcMm" else None


def _item_of(value: Any) -> str | None:
    if isinstance(value, list | tuple | np.ndarray):
        array = np.asarray(value)
        if array.ndim == 1 and array.dtype.kind in "?biufcMm":
            return _scalar_name(array.dtype)
    return None
