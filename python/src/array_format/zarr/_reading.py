"""Stores: what is read."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from typing import Any

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype
from zarr.core.common import concurrent_map

from .._array import Array
from ..errors import InvalidArgumentError, NotFoundError
from . import _chunks, _others
from ._change import Editor
from ._layout import Layout
from ._opened import OpenedStore
from ._session import Session

KEPT_BYTES = 64 << 20
"""Of shards that were encoded, since Zarr asks for parts of them one after the other."""


class ReadableStore(OpenedStore):
    """A store on a file, to read."""

    async def get(self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None) -> Buffer | None:
        """The bytes of a key; `None` if there is none."""
        _check_range(byte_range)
        prototype = prototype or default_buffer_prototype()
        editor = await self._ready()
        value = await self._whole(editor, key, prototype)
        if value is None or byte_range is None:
            return value
        return value[_range(byte_range, len(value))]

    async def _whole(self, editor: Editor, key: str, prototype: BufferPrototype) -> Buffer | None:
        found = await self._work(lambda: _document(editor, key))
        if found is not None:
            return prototype.buffer.from_bytes(found)
        chunk = await self._work(lambda: written(editor, key))
        return None if chunk is None else await self._chunk(editor, *chunk, prototype)

    async def _chunk(self, editor: Editor, layout: Layout, coords: tuple[int, ...], prototype: BufferPrototype) -> Buffer | None:
        kept = _kept(editor.session) if layout.is_sharded else {}
        if (layout.path, coords) in kept:
            return kept[layout.path, coords]
        try:
            array = Array(editor.session.file, layout.path)
            values = await self._work(lambda: _chunks.read(array, layout, coords), layout.chunk_bytes)
        except NotFoundError:
            return None  # deleted meanwhile
        value = await _chunks.encode(values, layout, prototype)
        if layout.is_sharded and value is not None and kept is _kept(editor.session):
            while kept and sum(len(v) for v in kept.values()) + len(value) > KEPT_BYTES:
                kept.pop(next(iter(kept)))
            kept[layout.path, coords] = value
        return value

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Parts of the bytes of several keys."""

        async def part(key: str, byte_range: ByteRequest | None) -> Buffer | None:
            return await self.get(key, prototype, byte_range)

        return await concurrent_map(list(key_ranges), part, limit=None)

    async def _get_many(
        self, requests: Iterable[tuple[str, BufferPrototype, ByteRequest | None]]
    ) -> AsyncGenerator[tuple[str, Buffer | None], None]:
        requests = list(requests)
        for request, found in zip(requests, await asyncio.gather(*(self.get(*r) for r in requests)), strict=True):
            yield request[0], found

    async def exists(self, key: str) -> bool:
        """Whether there is a key."""
        editor = await self._ready()
        return await self._work(lambda: editor.has(key) or _others.contains(editor.handle, key) or written(editor, key) is not None)

    async def getsize(self, key: str) -> int:
        """How many bytes a key has; a chunk whose bytes are as in memory is not read for it."""
        editor = await self._ready()
        found = await self._work(lambda: written(editor, key))
        if found is not None and found[0].pipeline is None and not found[0].definition.kind.is_variable:
            return math.prod(found[0].full_shape) * found[0].metadata.dtype.to_native_dtype().itemsize
        return await super().getsize(key)

    async def list(self) -> AsyncIterator[str]:
        """All keys."""
        async for key in self.list_prefix(""):
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """All keys that begin with `prefix`."""
        editor = await self._ready()
        for key in await self._work(lambda: list(editor.keys(prefix))):
            yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """The names that are directly below `prefix`."""
        editor = await self._ready()
        for name in await self._work(lambda: sorted(editor.directory(prefix.rstrip("/")))):
            yield name

    async def is_empty(self, prefix: str) -> bool:
        """Whether no key begins with `prefix` and ``/``."""
        editor = await self._ready()
        start = prefix if not prefix or prefix.endswith("/") else prefix + "/"
        return await self._work(lambda: next(iter(editor.keys(start)), None) is None)


def _kept(session: Session) -> dict[Any, Buffer]:
    """The shards that were encoded since the file was changed last."""
    state = session.edits, session.file.version
    if session.encoded_state != state:
        session.encoded_state, session.encoded = state, {}
    return session.encoded


def _document(editor: Editor, key: str) -> bytes | None:
    found = editor.document(key)
    return found if found is not None else _others.get(editor.handle, key)


def written(editor: Editor, key: str) -> tuple[Layout, tuple[int, ...]] | None:
    """The chunk of a key that an array has."""
    found = editor.chunk(key)
    try:
        return found if found is not None and (found[0].shows_all or editor.handle.is_written(found[0].path, list(found[1]))) else None
    except (NotFoundError, InvalidArgumentError):
        return None  # deleted or cut off meanwhile


def _check_range(byte_range: ByteRequest | None) -> None:
    if byte_range is not None and not isinstance(byte_range, RangeByteRequest | OffsetByteRequest | SuffixByteRequest):
        raise ValueError(f"Unexpected byte_range, got {byte_range}.")


def _range(byte_range: ByteRequest, length: int) -> slice:
    match byte_range:
        case RangeByteRequest(start, end):
            return slice(start, end)
        case OffsetByteRequest(offset):
            return slice(offset, length)
    return slice(max(length - byte_range.suffix, 0), length)
