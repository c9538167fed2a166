"""The nodes of a file as Zarr's hierarchy: which groups and arrays there are, their metadata documents, and all keys.

Every group of a file has a document unless it is marked as *absent*: the root of a file that a store has made and nobody has given one, and
groups that are only there because something in them is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from zarr.core.chunk_grids import RegularChunkGrid

from .._dtypes import DTYPE_ATTRIBUTE
from ..errors import NotFoundError
from . import _json, _layout, _others
from ._layout import DECLARED, Definition, Layout
from ._session import Session

ZARR_JSON, ZARRAY, ZGROUP, ZATTRS, ZMETADATA = "zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata"
NAMES = {ZARR_JSON, ZARRAY, ZGROUP, ZATTRS, ZMETADATA}
ROOT_ARRAY = "data"
"""What an array at the root of Zarr's hierarchy is called in the file, whose own root is a group."""

_NO_MEMBERS = {"kind": "inline", "must_understand": False, "metadata": {}}


def split(key: str) -> tuple[str, str]:
    """The node of a document's key, and the document's name."""
    node, _, name = key.rpartition("/")
    return node, name


def ancestors(node: str) -> Iterator[str]:
    """The groups above a node, from its own on, the root excepted."""
    while "/" in node:
        node = node.rpartition("/")[0]
        yield node


@dataclass(frozen=True)
class Plan:
    """What a document says that can be made of a node."""

    node: str
    name: str
    document: dict[str, Any]
    definition: Definition | None = None

    @property
    def format(self) -> int:
        return 3 if self.name == ZARR_JSON else 2


def plan(key: str, value: bytes) -> Plan | None:
    """What to make of a document; `None` if the file has nothing like it."""
    node, name = split(key)
    if name not in (ZARR_JSON, ZARRAY, ZGROUP) or not _is_path(node):
        return None
    try:
        document = json.loads(value)
        if not isinstance(document, dict) or document.get("zarr_format") != (3 if name == ZARR_JSON else 2):
            return None
        if name == ZGROUP or document.get("node_type") == "group":
            return Plan(node, name, document)
        if name == ZARR_JSON and document.get("node_type") != "array":
            return None
        metadata = _layout.parse(document)
        if not isinstance(metadata.chunk_grid, RegularChunkGrid) or getattr(metadata, "storage_transformers", ()):
            return None
        definition = _layout.of_metadata(metadata)
        _ = _layout.Layout("", node, metadata.shape, definition, _layout.declare(document, metadata.shape, definition)).pipeline
    except (ValueError, TypeError, KeyError, OverflowError, AttributeError, NotImplementedError):
        return None
    return Plan(node, name, document, definition)


def _is_path(node: str) -> bool:
    bad = node.startswith("/") or node.endswith("/") or "//" in node or "\0" in node or len(node.encode()) > 30_000
    return not bad and node.partition("/")[0] != _others.GROUP


class Tree:
    """The nodes of a session's file."""

    def __init__(self, session: Session) -> None:
        self.session = session

    @property
    def handle(self) -> Any:
        return self.session.handle

    # What there is.

    def declared(self, path: str) -> dict[str, Any] | None:
        """What Zarr has said of a group or array; `None` if there is none."""
        try:
            found = self.handle.attribute(path, DECLARED)
        except NotFoundError:
            return None
        return {} if found is None else json.loads(found[1])

    def array(self, node: str) -> Layout | None:
        """The array of a node."""
        path, root = node, self._root()
        if not node or node == root:
            path = root if not node else None
        if not path or not self.handle.contains(path):
            return None
        try:
            info = self.handle.array(path)
            state = (info[:6], *(self.handle.attribute(path, n)[1] if n in info[8] else None for n in (DTYPE_ATTRIBUTE, DECLARED)))
        except (NotFoundError, TypeError):
            return None  # deleted meanwhile
        known = self.session.layouts.get(path)
        if known is None or known[0] != state:
            known = state, _layout.of_info(path, node, info, *state[1:])
            if len(self.session.layouts) > 10_000:
                self.session.layouts.clear()
            self.session.layouts[path] = known
        return known[1]

    def _root(self) -> str | None:
        root = (self.declared("") or {}).get("root")
        return root if root is not None and self.handle.contains(root) else None

    def group(self, node: str) -> dict[str, Any] | None:
        """What was declared of a group that has a document."""
        if not node and self._root() is not None or node and (not _is_path(node) or self.handle.contains(node)):
            return None
        found = self.declared(node)
        return None if found is None or found.get("absent") else found

    def chunk(self, key: str) -> tuple[Layout, tuple[int, ...]] | None:
        """The chunk that a key means, written or not."""
        node = key
        while node:
            node = node.rpartition("/")[0]
            layout = self.array(node)
            if layout is not None:
                coords = layout.coords(key[len(node) + 1 :] if node else key)
                return None if coords is None else (layout, coords)
        return None

    # Documents.

    def attributes(self, path: str, declared: dict[str, Any]) -> dict[str, Any]:
        return _json.decode(self.handle.attributes(path)) | declared.get("attributes", {})

    def names(self, layout: Layout | None, group: dict[str, Any] | None) -> list[str]:
        """The documents that a node has."""
        declared = layout.declared if layout is not None else group
        if declared is None:
            return []
        if declared.get("format", 3) == 3:
            return [ZARR_JSON]
        more = [ZATTRS] * bool(declared.get("zattrs")) + [ZMETADATA] * bool(declared.get("consolidated"))
        return [ZARRAY if layout is not None else ZGROUP, *more]

    def has(self, key: str) -> bool:
        """Whether a document of the file's own has this key."""
        node, name = split(key)
        if name not in NAMES:
            return False
        layout = self.array(node)
        return name in self.names(layout, None if layout is not None else self.group(node))

    def document(self, key: str) -> bytes | None:
        """A document."""
        node, name = split(key)
        layout = self.array(node) if name in NAMES else None
        group = self.group(node) if layout is None and name in NAMES else None
        if name not in self.names(layout, group):
            return None
        try:
            return json.dumps(self._document(node, name, layout, group)).encode()
        except NotFoundError:
            return None  # deleted meanwhile

    def _document(self, node: str, name: str, layout: Layout | None, group: dict[str, Any] | None) -> dict[str, Any]:
        declared = layout.declared if layout is not None else group or {}
        path = layout.path if layout is not None else node
        if name == ZATTRS:
            return self.attributes(path, declared)
        if name == ZMETADATA:
            return {"metadata": self._members(node, 2), "zarr_consolidated_format": 1}
        own = layout.document if layout is not None else {"zarr_format": declared.get("format", 3)} | declared.get("fields", {})
        if name != ZARR_JSON:
            return own
        own = own | {"attributes": self.attributes(path, declared)}
        if layout is None:
            own |= {"node_type": "group"}
            if declared.get("consolidated"):
                own["consolidated_metadata"] = _NO_MEMBERS | {"metadata": self._members(node, 3)}
        return own

    def _members(self, top: str, zarr_format: int) -> dict[str, Any]:
        """Consolidated metadata, as of now: what is below a group, without what is below something that is no group."""
        found: dict[str, Any] = {}
        groups, start = {top}, top + "/" if top else ""
        for node in sorted(self.nodes(start), key=lambda n: (n.count("/"), n)):
            if node == top or split(node)[0] not in groups:
                continue
            layout = self.array(node)
            group = None if layout is not None else self.group(node)
            names = self.names(layout, group)
            if not names or (ZARR_JSON in names) != (zarr_format == 3):
                continue
            if layout is None:
                groups.add(node)
                group = {k: v for k, v in (group or {}).items() if k != "consolidated"}
            for name in names:
                if name == ZMETADATA:
                    continue
                document = self._document(node, name, layout, group)
                if layout is None and name != ZATTRS:
                    document = document | {"consolidated_metadata": _NO_MEMBERS}
                rest = node[len(start) :]
                found[rest if zarr_format == 3 else f"{rest}/{name}"] = document
        if zarr_format == 2:
            for name in (ZGROUP, ZATTRS):
                found[name] = self._document(top, name, None, self.group(top))
        return found

    # All keys.

    def nodes(self, prefix: str) -> list[str]:
        """Nodes whose keys can begin with `prefix`."""
        around = [prefix[:i] for i, c in enumerate(prefix) if c == "/"]
        root = self._root()
        arrays = [p for p in self.handle.list_arrays(prefix) if p != root and not p.startswith(_others.GROUP + "/")]
        arrays += [p for p in around if p not in arrays and self.array(p) is not None]
        groups = [g for g in self.handle.list_groups() if (g + "/").startswith(prefix) or prefix.startswith(g + "/")]
        return ["", *arrays, *(g for g in groups if g != _others.GROUP)]

    def keys(self, prefix: str) -> Iterator[str]:
        """All keys that begin with `prefix`."""
        yield from _others.keys(self.handle, prefix)
        for node in self.nodes(prefix):
            start = node + "/" if node else ""
            layout = self.array(node)
            names = self.names(layout, None if layout is not None else self.group(node))
            yield from (start + n for n in names if (start + n).startswith(prefix))
            if layout is not None:
                yield from (k for k in self.chunk_keys(layout) if k.startswith(prefix))

    def chunk_keys(self, layout: Layout) -> list[str]:
        """The keys of the chunks that an array has."""
        start = layout.node + "/" if layout.node else ""
        try:
            chunks = np.ndindex(layout.grid) if layout.shows_all else (tuple(row[0]) for row in self.handle.chunks(layout.path))
            return [start + layout.key(coords) for coords in chunks]
        except NotFoundError:
            return []

    def directory(self, node: str) -> set[str]:
        """What is directly below a node, or below a part of the keys of an array's chunks."""
        start = node + "/" if node else ""
        inside = any(self.array(n) is not None for n in (node, *ancestors(node), ""))
        if inside:
            return {k[len(start) :].partition("/")[0] for k in self.keys(start)}
        found = {k[len(start) :].partition("/")[0] for k in _others.keys(self.handle, start)}
        for below in self.nodes(start):
            if below.startswith(start) and below != node and (self.handle.contains(below) or self.group(below) is not None):
                found.add(below[len(start) :].partition("/")[0])
        return found | set(self.names(None, self.group(node)))
