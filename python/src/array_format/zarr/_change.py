"""Changes of a file's nodes by Zarr's documents."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from .._array import Array
from .._dtypes import DTYPE_ATTRIBUTE
from ..errors import NotFoundError
from . import _json, _layout, _others
from ._layout import DECLARED, Definition, Layout
from ._tree import NAMES, ROOT_ARRAY, ZATTRS, ZMETADATA, Plan, Tree, ancestors, split


class Editor(Tree):
    """Changes the nodes of a session's file. To be called with the session's lock held."""

    def _declare(self, path: str, said: dict[str, Any]) -> None:
        said = {k: v for k, v in said.items() if v}
        if said:
            self.handle.set_attribute(path, DECLARED, "string", json.dumps(said))
        elif self.declared(path):
            self.handle.remove_attribute(path, DECLARED)

    def can_hold(self, plan: Plan) -> bool:
        """Whether a node can be made of a document where it shall stand; else it is kept as it is."""
        above = list(ancestors(plan.node))
        if any(self.handle.contains(p) for p in above) or self._root() is not None and plan.node:
            return False
        layout = self.array(plan.node)
        group = self.group(plan.node) if layout is None else None
        there = layout.format if layout is not None else None if group is None else group.get("format", 3)
        if there not in (None, plan.format):
            return False  # a node has documents of one format; those of the other are kept as they are
        return plan.definition is None or not plan.node or not self._is_group(plan.node) or not self._has_below(plan.node)

    def keeps_data(self, plan: Plan) -> bool:
        """Whether a document leaves the chunks of the node as they are."""
        layout = self.array(plan.node)
        wanted = None if layout is None or plan.definition is None else _wanted(layout, plan)
        return layout is None or wanted is not None and (wanted == layout.definition or wanted == _chunked(layout))

    def put(self, plan: Plan) -> None:
        """Makes a node what a document says."""
        _others.delete(self.handle, _key(plan.node, plan.name))
        made = [group for group in ancestors(plan.node) if not self._is_group(group)]
        if plan.definition is None:
            self._put_group(plan)
        else:
            self._put_array(plan)
        for group in made:  # it came with the node, and nobody has asked for it
            self._declare(group, {"absent": True})
        if plan.format == 2:
            for name in (ZATTRS, ZMETADATA):
                key = _key(plan.node, name)
                kept = _others.get(self.handle, key)
                if kept is not None and self.put_more(key, kept):
                    _others.delete(self.handle, key)

    def _put_group(self, plan: Plan) -> None:
        node, document = plan.node, dict(plan.document)
        layout = self.array(node)
        if layout is not None:
            self.handle.delete(layout.path)
        if node and not self._is_group(node):
            self.handle.define_group(node)
        before = {} if layout is not None else self.group(node) or {}
        said: dict[str, Any] = {"format": 2 if plan.format == 2 else None}
        if document.get("consolidated_metadata") is not None:
            del document["consolidated_metadata"]
            said["consolidated"] = True
        if plan.format == 2:
            said |= {k: before.get(k) for k in ("zattrs", "attributes", "consolidated")}
        else:
            said["attributes"] = _json.store(self.handle, node, document.pop("attributes", {}))
        said["fields"] = {k: v for k, v in document.items() if k not in ("zarr_format", "node_type")}
        self._declare(node, said)

    def _put_array(self, plan: Plan) -> None:
        document, layout = plan.document, self.array(plan.node)
        definition = plan.definition if layout is None else _wanted(layout, plan)
        assert definition is not None
        shape = tuple(document["shape"])[: len(definition.dims)]
        if layout is not None and layout.definition == definition:
            path = layout.path
            if shape != layout.shape:
                self.handle.resize(path, list(shape))
        else:
            path = self._define(plan.node, layout, definition, shape)
        if layout is not None and layout.definition == definition and _is_same(layout, plan):
            said = dict(layout.declared)
        else:
            said = _layout.declare(document, shape, definition)
            said |= {k: v for k, v in (layout.declared if layout is not None else {}).items() if k in ("zattrs", "attributes")}
        if plan.format == 3:
            said["attributes"] = _json.store(self.handle, path, document.get("attributes", {}))
        self._declare(path, said)

    def _define(self, node: str, layout: Layout | None, definition: Definition, shape: tuple[int, ...]) -> str:
        """Makes an array of other elements or chunks than one that was there; what else was said of that one is kept."""
        path, native, attributes, chunk = node, definition.native(shape), [], None
        if layout is not None:
            path = layout.path
            if definition == _chunked(layout) and self.chunk_keys(layout):
                chunk = Array(self.session.file, path)._region([0] * len(shape), list(layout.shape), [])
            if layout.definition.kind == definition.kind:
                *_, filters, codec, _ = self.handle.array(path)
                native |= {"filters": filters or None, "codec": codec}
            attributes = [(n, v) for n, v in self.handle.attributes(path) if n not in (DTYPE_ATTRIBUTE, DECLARED)]
            self.handle.delete(path)
        elif not node:
            path = ROOT_ARRAY
            while self.handle.contains(path) or self._is_group(path):
                path += "_"
            _json.store(self.handle, "", {})
            self._declare("", {"root": path})
        elif self._is_group(path):
            self.handle.delete(path)
        self.handle.define(path, native, False)
        if definition.kind.hidden is not None:
            self.handle.set_attribute(path, DTYPE_ATTRIBUTE, "string", definition.kind.hidden)
        for name, value in attributes:
            self.handle.set_attribute(path, name, *value)
        if chunk is not None and layout is not None:
            box = tuple(map(slice, map(min, layout.shape, shape)))
            values, mask = (None if part is None else part[(*box, ...)] for part in chunk)
            if values.size:
                Array(self.session.file, path)._write([0] * len(shape), values, mask)
        return path

    def put_more(self, key: str, value: bytes) -> bool:
        """Takes the second documents of format 2: attributes and consolidated metadata. Whether they belong to a node."""
        node, name = split(key)
        if name not in (ZATTRS, ZMETADATA):
            return False
        layout = self.array(node)
        declared = layout.declared if layout is not None else self.group(node)
        if declared is None or declared.get("format", 3) != 2 or name == ZMETADATA and layout is not None:
            return False
        try:
            document = json.loads(value)
        except ValueError:
            return False
        if not isinstance(document, dict) or name == ZMETADATA and document.get("zarr_consolidated_format") != 1:
            return False
        path = layout.path if layout is not None else node
        if name == ZATTRS:
            self._declare(path, declared | {"attributes": _json.store(self.handle, path, document), "zattrs": True})
        else:
            self._declare(path, declared | {"consolidated": True})
        return True

    def delete(self, key: str) -> None:
        """Deletes a document, and the node that it is of; the chunks of an array with it."""
        node, name = split(key)
        if name not in NAMES or not self.has(key):
            return
        layout = self.array(node)
        group = None if layout is not None else self.group(node)
        path = layout.path if layout is not None else node
        declared = layout.declared if layout is not None else group or {}
        if name == ZMETADATA:
            self._declare(path, declared | {"consolidated": None})
            return
        if name == ZATTRS:
            _json.store(self.handle, path, {})
            self._declare(path, declared | {"zattrs": None, "attributes": None})
            return
        more = {n: self.document(_key(node, n)) for n in self.names(layout, group) if n != name}
        self._remove(node, layout)
        for rest, value in more.items():
            if value is not None:
                _others.put(self.handle, _key(node, rest), value)

    def _remove(self, node: str, layout: Layout | None) -> None:
        if layout is not None:
            self.handle.delete(layout.path)
        else:
            _json.store(self.handle, node, {})
        if layout is None or not node:
            self._declare(node, {"absent": True})
        self._prune(node)

    def delete_directory(self, node: str) -> None:
        """Deletes all keys below a node, or below a part of the keys of an array's chunks."""
        start = node + "/" if node else ""
        for key in _others.keys(self.handle, start):
            _others.delete(self.handle, key)
        layout = self.array(node)
        if not node:
            for path in self.handle.list_arrays("") + self.handle.list_groups():
                if self.handle.contains(path) or self._is_group(path):
                    self.handle.delete(path.partition("/")[0])
            self._remove("", None)
        elif layout is not None or self._is_group(node):
            self.handle.delete(node)
            self._prune(node)
        else:
            for above in (*ancestors(node), ""):
                layout = self.array(above)
                for key in [] if layout is None else self.chunk_keys(layout):
                    if key.startswith(start):
                        self.handle.erase_chunk(layout.path, list(layout.coords(key[len(above) + 1 if above else 0 :])))

    # Groups that are there because something is in them.

    def _is_group(self, path: str) -> bool:
        return not self.handle.contains(path) and self.declared(path) is not None

    def _has_below(self, node: str) -> bool:
        start = node + "/"
        return bool(self.handle.list_arrays(start)) or any(g.startswith(start) for g in self.handle.list_groups())

    def _prune(self, node: str) -> None:
        """Deletes groups that were there only because of a node."""
        for group in (node, *ancestors(node)):
            if not group or not self._is_group(group):
                continue
            if not (self.declared(group) or {}).get("absent") or self._has_below(group):
                return
            try:
                self.handle.delete(group)
            except NotFoundError:
                continue  # it has gone with what was in it


def _key(node: str, name: str) -> str:
    return f"{node}/{name}" if node else name


def _wanted(layout: Layout, plan: Plan) -> Definition | None:
    """What an array shall be that is there already."""
    if not _is_same(layout, plan):
        return plan.definition
    if layout.definition.chunks is None and tuple(plan.document["shape"]) != tuple(layout.document["shape"]):
        return _chunked(layout)
    return layout.definition


def _chunked(layout: Layout) -> Definition:
    """An array that is one chunk, whatever its shape, as Zarr needs it to be resized: chunks keep their shape."""
    return replace(layout.definition, chunks=layout.chunk_shape)


def _is_same(layout: Layout, plan: Plan) -> bool:
    """Whether a document is the array's own, shape and attributes apart: as it is kept, or as Zarr writes it after reading it."""

    def text(document: dict[str, Any]) -> str:
        return json.dumps({k: v for k, v in document.items() if k not in ("shape", "attributes")}, sort_keys=True)

    if plan.definition is None or plan.format != layout.format:
        return False
    items, shape = layout.full_shape[len(layout.chunk_shape) :], tuple(plan.document["shape"])
    if items and shape[-len(items) :] != items:
        return False
    return text(plan.document) in (text(layout.document), text(_layout.normal(layout.metadata.to_dict())))
