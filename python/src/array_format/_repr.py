"""What files, groups, arrays and tables look like at a prompt and in a notebook."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ._array import Array
    from ._columns import Table
    from ._file import File
    from ._group import Group

MOST_ENTRIES = 20
"""Arrays and groups, attributes or rows that are shown."""

MOST_LISTED = 10_000
"""In a file of more arrays than this, none are listed: that would read all of the index."""

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def nbytes(count: int) -> str:
    """Bytes for a person."""
    size, unit = float(count), 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{count} B" if unit == 0 else f"{size:.1f} {_UNITS[unit]}"


def shape_text(array: Array) -> str:
    """``(time: 64, lat: 720)``, or ``(64, 720)`` for axes without names."""
    if array.dims:
        return "(" + ", ".join(f"{d}: {n}" if d else str(n) for d, n in zip(array.dims, array.shape, strict=True)) + ")"
    return str(array.shape)


def type_text(array: Array) -> str:
    """numpy's name of the type, or the file's where that says more."""
    name = array.element_type
    return name if name.startswith(("list", "string", "binary")) and array._type.hidden is None else str(array.dtype)


def array(array: Array) -> str:
    return f"<array_format.Array {array.path!r} {type_text(array)} {shape_text(array)}>"


def _facts(array: Array) -> list[tuple[str, str]]:
    chunks = "one" if array.chunks is None else str(array.chunks)
    compression = " + ".join([*array.filters, *([array.codec] if array.codec else [])]) or "by measurement"
    facts = [("type", type_text(array)), ("shape", shape_text(array)), ("chunks", chunks)]
    facts += [("fill value", str(array.fill_value)), ("compression", compression), ("in memory", nbytes(array.nbytes))]
    return facts + ([("nulls", "possible")] if array.nullable else [])


def _rows(pairs: list[tuple[str, str]]) -> str:
    cell = "<tr><th style='text-align:left'>{}</th><td style='text-align:left'>{}</td></tr>"
    return "".join(cell.format(escape(a), escape(b)) for a, b in pairs)


def _attributes_html(attrs: Any) -> str:
    found = attrs.asdict()
    if not found:
        return ""
    shown = [(k, str(v)[:200]) for k, v in list(found.items())[:MOST_ENTRIES]]
    more = [("...", f"{len(found) - len(shown)} more")] if len(found) > len(shown) else []
    return f"<details><summary>{len(found)} attributes</summary><table>{_rows(shown + more)}</table></details>"


def array_html(array: Array) -> str:
    attributes = "" if array.file.closed else _attributes_html(array.attrs)
    return f"<div><b>{escape(array.path)}</b><table>{_rows(_facts(array))}</table>{attributes}</div>"


def _entries(group: Group) -> tuple[list[tuple[str, str]], int]:
    """What is in a group: names and what they are, and how many more there are; -1 if nobody counted."""
    if group.file._handle.counts()[0] > MOST_LISTED:
        return [], -1
    names = group._names()
    shown = list(names.items())[:MOST_ENTRIES]
    entries = []
    for name, is_array in shown:
        entry = group[name]
        entries.append((name, f"{type_text(entry)} {shape_text(entry)}" if is_array else "group"))
    return entries, len(names) - len(shown)


def _listing(group: Group) -> list[str]:
    entries, more = _entries(group)
    width = max((len(name) for name, _ in entries), default=0)
    lines = [f"  {name:<{width}}  {what}" for name, what in entries]
    return lines + ([f"  ... {more} more"] if more > 0 else [])


def group(group: Group) -> str:
    if group.file.closed:
        return f"<array_format.Group {group.path!r} of {group.file.url!r}, closed>"
    return "\n".join([f"<array_format.Group {group.path!r} of {group.file.url!r}>", *_listing(group)])


def group_html(group: Group) -> str:
    if group.file.closed:
        return f"<div>{escape(repr(group))}</div>"
    entries, more = _entries(group)
    rows = entries + ([("...", f"{more} more")] if more > 0 else [])
    title = group.path or group.file.url
    return f"<div><b>{escape(title)}</b><table>{_rows(rows)}</table>{_attributes_html(group.attrs)}</div>"


def file(file: File) -> str:
    if file.closed:
        return f"<array_format.File {file.url!r}, closed>"
    arrays, groups = file._handle.counts()
    what = f"version {file.version}, mode {file.mode!r}, {arrays} arrays, {groups} groups"
    if file.has_pending:
        what += ", changes pending"
    return "\n".join([f"<array_format.File {file.url!r}, {what}>", *_listing(file)])


def table(table: Table) -> str:
    head = f"<array_format.Table: {table.num_rows} rows>"
    return "\n".join([head, *(f"  {name}: {_values(values)}" for name, values in table.items())])


def _texts(values: np.ndarray, count: int) -> list[str]:
    """The first values as texts; "--" where one is missing."""
    pairs = zip(np.ma.getdata(values[:count]), np.ma.getmaskarray(values[:count]), strict=True)
    return ["--" if gone else str(v) for v, gone in pairs]


def _values(values: np.ndarray) -> str:
    shown = ", ".join(_texts(values, 4))
    return f"{values.dtype} [{shown}{', ...' if len(values) > 4 else ''}]"


def table_html(table: Table) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in table)
    rows = zip(*(_texts(values, MOST_ENTRIES) for values in table.values()), strict=True)
    body = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in rows)
    rest = max(table.num_rows - MOST_ENTRIES, 0)
    note = f"<p>{rest} more rows</p>" if rest else ""
    return f"<div><table><tr>{head}</tr>{body}</table>{note}</div>"
