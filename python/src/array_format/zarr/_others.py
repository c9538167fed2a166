"""Keys that are neither metadata nor chunks of arrays that the file understands.

Each is an array of bytes without axes, in a group of its own: whatever is set under a key comes back, is listed and deleted.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, unquote

from .._dtypes import HIDDEN

GROUP = HIDDEN + "zarr"
_START = GROUP + "/"
_DEFINITION = {"dtype": "binary", "nullable": False, "dims": [], "shape": [], "chunks": None, "fill": None, "filters": None, "codec": None}


def _path(key: str) -> str:
    return _START + quote(key, safe="")


def contains(handle: Any, key: str) -> bool:
    return handle.contains(_path(key))


def get(handle: Any, key: str) -> bytes | None:
    path = _path(key)
    if not handle.contains(path):
        return None
    return handle.read_variable(path, [], [], [])[0][0]


def put(handle: Any, key: str, value: bytes) -> None:
    path = _path(key)
    if not handle.contains(path):
        handle.define(path, _DEFINITION, False)
    handle.write_variable(path, [], [], [value])


def delete(handle: Any, key: str) -> bool:
    """Whether it was there."""
    path = _path(key)
    if not handle.contains(path):
        return False
    handle.delete(path)
    return True


def keys(handle: Any, prefix: str = "") -> list[str]:
    """All of them that begin with `prefix`."""
    found = handle.list_arrays(_path(prefix)) if prefix else handle.list_arrays(_START)
    return [unquote(path[len(_START) :]) for path in found]
