"""Attributes: between the file's, which have types, and Zarr's, which are JSON."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import numpy as np

from .._attributes import JSON_PREFIX, from_file, to_file
from .._dtypes import HIDDEN

MOST_NAME_BYTES = 32_767


def to_json(value: Any) -> Any:
    """An attribute of a file as JSON: times as ISO texts, complex numbers as pairs, bytes as base64."""
    match value:
        case np.datetime64():
            return str(value)
        case np.timedelta64():
            return str(value)
        case np.ndarray():
            return [to_json(v) for v in value]
        case np.generic():
            return to_json(value.item())
        case complex():
            return [value.real, value.imag]
        case bytes():
            return base64.b64encode(value).decode()
        case list() | tuple():
            return [to_json(v) for v in value]
    return value


def decode(pairs: list[tuple[str, tuple[str, Any]]]) -> dict[str, Any]:
    """All attributes of a node that users see."""
    found = {}
    for name, value in pairs:
        if name.startswith(JSON_PREFIX):
            found[name.removeprefix(JSON_PREFIX)] = json.loads(value[1])
        elif not name.startswith(HIDDEN):
            found[name] = to_json(from_file(*value))
    return found


def same(a: Any, b: Any) -> bool:
    """Whether two JSON values are equal and of the same types: 1 is not 1.0, NaN is NaN."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(v, b[k]) for k, v in a.items())
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return a == b and math.copysign(1, a) == math.copysign(1, b) or (math.isnan(a) and math.isnan(b))
    return a == b


def is_name(name: str) -> bool:
    """Whether a file can have an attribute of this name."""
    try:
        length = len(name.encode()) + len(JSON_PREFIX)
    except UnicodeEncodeError:
        return False
    return 0 < len(name) and length <= MOST_NAME_BYTES and "\0" not in name and not name.startswith(HIDDEN)


def _encoded(value: Any) -> tuple[str, Any] | None:
    """The file's own type for a JSON value; `None` if it would come back as another."""
    try:
        found = to_file(value)
        if found is not None and same(to_json(from_file(*found)), value):
            json.dumps(value, ensure_ascii=False).encode()  # lone surrogates are no text to the file
            return found
    except (TypeError, ValueError, OverflowError):
        pass
    return None


def store(handle: Any, node: str, wanted: dict[str, Any]) -> dict[str, Any]:
    """Makes the attributes of a node `wanted`, and returns those that its file cannot name.

    What reads as it did before is left alone, so that attributes that others wrote keep their types.
    """
    pairs = handle.attributes(node)
    names, now = {name for name, _ in pairs}, decode(pairs)
    for name in now.keys() - wanted.keys():
        for stored in names & {name, JSON_PREFIX + name}:
            handle.remove_attribute(node, stored)
    rest = {}
    for name, value in wanted.items():
        if not is_name(name):
            rest[name] = value
        elif name not in now or not same(now[name], value):
            found = _encoded(value)
            old, new = (name, JSON_PREFIX + name) if found is None else (JSON_PREFIX + name, name)
            if old in names:
                handle.remove_attribute(node, old)
            handle.set_attribute(node, new, *(found or ("string", json.dumps(value))))
    return rest
