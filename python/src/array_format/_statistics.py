"""What is known of elements without reading them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ._attributes import from_file
from ._dtypes import ElementType

if TYPE_CHECKING:
    from ._core import _Known


@dataclass(frozen=True)
class Statistics:
    """Statistics of an array or a chunk.

    Attributes
    ----------
    min, max
        The least and the greatest value, NaN and nulls apart; `None` if there is none, or none is known. NaT is less than all times to
        the file: where it is among them, the least time is not known.
    size : int or None
        Elements, written or not.
    count : int or None
        Elements that were written; `None` if it is not known.
    nulls, nans : int or None
        Of these: missing ones, and NaN.
    exact : bool
        If not, `min` and `max` are bounds: no element is beyond them.
    """

    min: Any
    max: Any
    size: int | None
    count: int | None
    nulls: int | None
    nans: int | None
    exact: bool

    @classmethod
    def of(cls, known: _Known, size: int | None, kind: ElementType) -> Statistics:
        """What the library knows of elements of a type."""
        low, high, count, nulls, nans, loose = known
        return cls(_value(low, kind), _value(high, kind), size, count, nulls, nans, not loose)


def _value(value: tuple[str, Any] | None, kind: ElementType) -> Any:
    if value is None:
        return None
    found = from_file(*value)
    if kind.dtype.kind in "Mm":
        time = kind.from_stored(np.asarray(found, kind.stored))[()]
        return None if np.isnat(time) else time
    if kind.stored is not None and not isinstance(found, np.generic):
        return kind.stored.base.type(found) if kind.stored.base.kind not in "Mm" else found
    return found
