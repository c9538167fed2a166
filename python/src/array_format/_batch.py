"""Many arrays in one call."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from ._array import Array
from .errors import InvalidArgumentError

if TYPE_CHECKING:
    from ._file import File


def read_many(file: File, names: list[str]) -> list[np.ndarray]:
    """Whole arrays, in the order of `names`."""
    handle = file._handle
    together: dict[str, list[int]] = defaultdict(list)
    results: list[Any] = [None] * len(names)
    for i, (kind, plain) in enumerate(handle.element_types(names)):
        if plain:
            together[kind].append(i)
        else:
            results[i] = Array(file, names[i])[...]
    for kind, places in together.items():
        shapes, memory = handle.read_many([names[i] for i in places])
        dtype = Array(file, names[places[0]]).dtype
        values = memory.view(dtype)
        at = 0
        for place, shape in zip(places, shapes, strict=True):
            size = math.prod(shape)
            results[place] = values[at : at + size].reshape(shape)
            at += size
    return results


def read_ragged(file: File, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """All values of whole arrays one behind the other, and where each array begins."""
    if not names:
        return np.empty(0), np.zeros(1, np.intp)
    handle = file._handle
    kinds = set(handle.element_types(names))
    if len(kinds) > 1 or not next(iter(kinds))[1]:
        types = ", ".join(sorted(kind for kind, _ in kinds))
        raise InvalidArgumentError(f"arrays of numbers of one type, without nulls, can be read one behind the other; these have {types}", file=file.url)
    shapes, memory = handle.read_many(names)
    offsets = np.zeros(len(names) + 1, np.intp)
    np.cumsum([math.prod(shape) for shape in shapes], out=offsets[1:])
    return memory.view(Array(file, names[0]).dtype), offsets
