"""Attributes of files, groups and arrays, as a dictionary."""

from __future__ import annotations

import json
from collections.abc import ItemsView, Iterator, MutableMapping, ValuesView
from typing import TYPE_CHECKING, Any

import numpy as np

from ._dtypes import HIDDEN, _scalar_name, exact_cast, scalar_dtype
from .errors import InvalidArgumentError, NotFoundError

if TYPE_CHECKING:
    from ._file import File

JSON_PREFIX = HIDDEN + "json:"
"""Values that no type of the file can hold (None, dictionaries, nested or mixed lists) are JSON under this and their name."""


def to_file(value: Any) -> tuple[str, Any] | None:
    """The type and the payload of a value, or `None` for one that only JSON can hold."""
    if isinstance(value, np.ma.MaskedArray):
        if np.ma.is_masked(value):
            raise InvalidArgumentError("attributes have no missing values")
        value = value.data
    match value:
        case bool() | np.bool_():
            return "bool", bytes([bool(value)])
        case str():
            return "string", str(value)
        case bytes() | bytearray() | memoryview():
            return "binary", bytes(value)
        case int():
            if -(2**63) <= value < 2**63:
                return "i64", value.to_bytes(8, "little", signed=True)
            return ("u64", value.to_bytes(8, "little")) if 0 <= value < 2**64 else None
        case float():
            return "f64", np.float64(value).tobytes()
        case complex():
            return "complex128", np.complex128(value).tobytes()
        case np.generic() if value.dtype.kind in "USO":
            return to_file(value.item())
        case np.generic():
            return _numbers(np.asarray(value), "{}")
        case np.ndarray() if value.ndim == 0:
            return to_file(value[()])
        case np.ndarray():
            if value.ndim > 1:
                raise InvalidArgumentError(f"an attribute of {value.ndim} axes: attributes are single values or lists")
            return _list(value.tolist()) if value.dtype.kind in "USTO" else _numbers(value, "list<{}>")
        case list() | tuple():
            return _list(list(value))
    return None


def _numbers(values: np.ndarray, form: str) -> tuple[str, bytes]:
    dtype = values.dtype
    if dtype.kind in "Mm" and np.datetime_data(dtype)[0] not in ("s", "ms", "us", "ns"):
        cast = exact_cast(values, np.dtype(f"{dtype.kind}8[s]"))
        if cast is None:
            raise InvalidArgumentError(f"seconds cannot hold values of {dtype}")
        values = cast
    elif dtype.kind in "Mm" and np.datetime_data(dtype)[1] != 1:
        values = values.astype(f"{dtype.kind}8[{np.datetime_data(dtype)[0]}]")
    try:
        name = _scalar_name(values.dtype)
    except InvalidArgumentError:
        raise InvalidArgumentError(f"no attribute is of type {values.dtype}") from None
    return form.format(name), np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()


def _list(items: list[Any]) -> tuple[str, Any] | None:
    if not items:
        return "list<f64>", b""
    if all(isinstance(v, str) for v in items):
        return "list<string>", items
    if all(isinstance(v, bytes) for v in items):
        return "list<binary>", items
    plain = [v for v in items if isinstance(v, bool | int | float | complex | np.number | np.bool_ | np.datetime64 | np.timedelta64)]
    if len(plain) < len(items) or len({type(v) for v in items}) > 1:
        return None
    try:
        array = np.asarray(items)
    except (ValueError, OverflowError):
        return None
    if array.dtype.kind == "f" and isinstance(items[0], int):
        return None  # no type of integers holds them all, and floats would change them
    return _numbers(array, "list<{}>") if array.dtype.kind in "?biufcMm" else None


def from_file(kind: str, payload: Any) -> Any:
    """The value of an attribute: Python's own bool, int, float, str and bytes for what is exactly that, else numpy's."""
    if kind in ("string", "binary"):
        return payload
    if kind == "list<string>" or kind == "list<binary>":
        return list(payload)
    if kind.startswith("list<"):
        return np.frombuffer(payload, scalar_dtype(kind[5:-1])).copy()
    value = np.frombuffer(payload, scalar_dtype(kind))[0]
    return value.item() if kind in ("bool", "i64", "f64", "complex128") else value


def decode(pairs: list[tuple[str, tuple[str, Any]]]) -> dict[str, Any]:
    """All attributes of a node that users see."""
    found = {}
    for name, value in pairs:
        if name.startswith(JSON_PREFIX):
            found[name.removeprefix(JSON_PREFIX)] = json.loads(value[1])
        elif not name.startswith(HIDDEN):
            found[name] = from_file(*value)
    return found


class Attributes(MutableMapping[str, Any]):
    """The attributes of a file, a group or an array.

    Values are what numpy and Python have: bool, int, float, str, bytes, numpy scalars with their type, one-dimensional arrays, lists of
    texts. Anything else that JSON can hold is kept as JSON. Changes are pending until they are committed, like all others.
    """

    def __init__(self, file: File, node: str) -> None:
        self._file = file
        self._node = node

    def _missing(self, name: object) -> NotFoundError:
        file, node = self._file.url, self._node
        what = f"there is no attribute {name!r} of {node!r} in {file}" if node else f"{file} has no attribute {name!r}"
        return NotFoundError(what, file=file, array=node or None)

    def _wrong(self, what: str) -> InvalidArgumentError:
        file, node = self._file.url, self._node
        return InvalidArgumentError(f"{what} ({f'node {node!r}, ' if node else ''}file {file})", file=file, array=node or None)

    def __getitem__(self, name: str) -> Any:
        if isinstance(name, str) and not name.startswith(HIDDEN):
            if (value := self._file._handle.attribute(self._node, name)) is not None:
                return from_file(*value)
            if (value := self._file._handle.attribute(self._node, JSON_PREFIX + name)) is not None:
                return json.loads(value[1])
        raise self._missing(name)

    def __setitem__(self, name: str, value: Any) -> None:
        if not isinstance(name, str) or not name or name.startswith(HIDDEN):
            raise self._wrong(f"{name!r} is no name for an attribute")
        try:
            encoded = to_file(value)
        except InvalidArgumentError as e:
            raise self._wrong(f"the attribute {name!r} cannot be {value!r:.50}: {e}") from None
        if encoded is None:
            try:
                text = json.dumps(value, default=_plain)
            except (TypeError, ValueError):
                raise self._wrong(f"the attribute {name!r} cannot be of type {type(value).__name__}") from None
            self._file._writable().remove_attribute(self._node, name)
            self._file._writable().set_attribute(self._node, JSON_PREFIX + name, "string", text)
            return
        if self._file._handle.attribute(self._node, JSON_PREFIX + name) is not None:
            self._file._writable().remove_attribute(self._node, JSON_PREFIX + name)
        self._file._writable().set_attribute(self._node, name, *encoded)

    def __delitem__(self, name: str) -> None:
        known = isinstance(name, str) and not name.startswith(HIDDEN)
        if not (known and any(self._file._writable().remove_attribute(self._node, p + name) for p in ("", JSON_PREFIX))):
            raise self._missing(name)

    def asdict(self) -> dict[str, Any]:
        """All of them, read at once."""
        return decode(self._file._handle.attributes(self._node))

    def __iter__(self) -> Iterator[str]:
        return iter(self.asdict())

    def __len__(self) -> int:
        return len(self.asdict())

    def items(self) -> ItemsView[str, Any]:
        """Names and values, read at once."""
        return self.asdict().items()

    def values(self) -> ValuesView[Any]:
        """The values, read at once."""
        return self.asdict().values()

    def __repr__(self) -> str:
        return f"Attributes({self.asdict()!r})"


def _plain(value: Any) -> Any:
    """numpy's numbers within lists and dictionaries."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(type(value).__name__)
