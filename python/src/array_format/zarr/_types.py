"""Element types: between the file's and Zarr's."""

from __future__ import annotations

from typing import Any

import numpy as np
from zarr.core.dtype import get_data_type_from_native_dtype
from zarr.dtype import VariableLengthBytes, VariableLengthUTF8, ZDType

from .._dtypes import ElementType, of_file, of_numpy
from ..errors import InvalidArgumentError

BFLOAT16 = "bf16"
"""Zarr has no type for it: it is shown as float32, which holds it exactly."""


def to_zarr(kind: ElementType) -> ZDType[Any, Any]:
    """Zarr's data type for the elements of an array. Lists of fixed length are an axis; those of varying length are bytes."""
    if kind.name == "string" and kind.hidden is None:
        return VariableLengthUTF8()
    if kind.is_variable and kind.hidden is None:
        return VariableLengthBytes()
    if kind.name == BFLOAT16:
        return get_data_type_from_native_dtype(np.dtype("<f4"))
    return get_data_type_from_native_dtype(kind.dtype.base)


def from_zarr(data_type: ZDType[Any, Any]) -> ElementType:
    """The element type that holds a data type of Zarr.

    Times in units that the file does not have are 64-bit integers and not seconds, which would not hold all of them.

    Raises
    ------
    InvalidArgumentError
        If there is none.
    """
    if isinstance(data_type, VariableLengthUTF8):
        return of_file("string")
    if isinstance(data_type, VariableLengthBytes):
        return of_file("binary")
    dtype = data_type.to_native_dtype().newbyteorder("<")
    if dtype.kind == "O":
        raise InvalidArgumentError(f"elements of {data_type} are of no type of the file")
    kind = of_numpy(dtype)
    if kind.hidden is not None and dtype.kind in "Mm":
        return ElementType("i64", dtype, np.dtype("<i8"), dtype.str)
    return kind


def fill_of(kind: ElementType, nullable: bool, stored: bytes | None, data_type: ZDType[Any, Any]) -> Any:
    """The fill value that Zarr is told.

    Missing elements that have no value of their own are NaN, NaT, an empty text, the least signed or the largest unsigned integer.
    """
    if stored is None:
        dtype = data_type.to_native_dtype()
        if nullable and dtype.kind in "fc":
            return dtype.type(np.nan)
        if nullable and dtype.kind in "iu":
            return dtype.type(np.iinfo(dtype).min if dtype.kind == "i" else np.iinfo(dtype).max)
        if nullable and dtype.kind in "Mm":
            return dtype.type("NaT")
        if kind.is_variable and kind.hidden is None:
            return "" if kind.name == "string" else b""
        return np.zeros((), dtype)[()]
    if kind.name == "string":
        return data_type.cast_scalar(stored.decode())
    if kind.is_variable:
        return data_type.cast_scalar(stored) if kind.hidden is not None else bytes(stored)
    if kind.name == BFLOAT16:
        return (np.frombuffer(stored, "<u2").astype("<u4") << 16).view("<f4")[0]
    values = kind.from_stored(np.frombuffer(stored, kind.stored.base).reshape(kind.stored.shape))
    return values[0] if kind.item_shape else values[()]


def fill_bytes(kind: ElementType, value: Any) -> bytes | None:
    """A fill value of Zarr as the file keeps it; `None` for Zarr's null."""
    if value is None:
        return None
    if kind.name == "string":
        return str(value).encode()
    if kind.name == "binary":
        return bytes(value)
    return kind.to_stored(np.asarray(value).astype(kind.dtype.base)).tobytes()


def exact_fill(fill: np.ndarray, said: Any) -> Any:
    """The fill value in JSON: a NaN of other bits than ``"NaN"`` means is told by them, which Zarr reads but does not write."""
    match fill.dtype.kind:
        case "c":
            return [exact_fill(part, one) for part, one in zip((fill.real, fill.imag), said, strict=True)]
        case "f" if said == "NaN":
            bits = f"u{fill.itemsize}"
            if fill.view(bits) != np.asarray(np.nan, fill.dtype).view(bits):
                return f"0x{int(fill.view(bits)):0{2 * fill.itemsize}x}"
    return said
