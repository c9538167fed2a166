"""The store."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from typing import Any, Self

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.abc.store import Store as ZarrStore
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype
from zarr.core.common import concurrent_map

from .._array import Array
from .._file import File
from ..errors import InvalidArgumentError, NotFoundError
from . import _chunks, _others, _tree
from ._change import Editor
from ._layout import DECLARED, Layout
from ._session import Session, process, session

KEPT_BYTES = 64 << 20
"""Of shards that were encoded, since Zarr asks for parts of them one after the other."""


class Store(ZarrStore):
    """A file of arrays as a store of Zarr, to read and to write.

    Any file opens, whoever made it; Zarr's formats 2 and 3 are written. What Zarr writes are arrays and groups of the file: metadata become
    the file's own, and chunks are decoded by the codecs that the metadata name and compressed as the file does it. (Say
    ``compressors=None`` to leave out compression that is undone at once.) Metadata that the file has no place for are remembered, so that
    documents come back as they were written. What the file has no equal of, such as data types of other packages, irregular grids or keys
    that are neither metadata nor chunks, is kept as it is.

    All stores of a process on the same file share one handle: each sees at once what the others write. What is written becomes a version of
    the file, durably and for everybody, all of it or nothing,

    * by `commit`, or at the end of ``with store.transaction():``
    * by `close`, which a ``with`` statement does as well
    * when the store is pickled, for example to be sent to the workers of a Dask cluster
    * when nobody holds a store on the file any more, and when the process ends.

    Only a process that is killed loses what it has not committed. In another process than the one that made it, a store that was sent
    there commits whatever is set before it returns, several changes at once if they come at once: a task that is done is durable. Of two
    processes that change the same key, the last one wins. With ``autocommit=True`` a store does so from the beginning.

    Consolidated metadata are made when they are read and never stale. Elements that are missing (of arrays that can hold nulls) are the fill
    value to Zarr. What an array loses by being made smaller is gone, and is the fill value if it becomes larger again.

    Parameters
    ----------
    url : str or path
        As for `array_format.open`. A file that is not there is made, unless the store is read-only.
    read_only : bool
        Refuse to write.
    version : int or str, optional
        The number of an older version, or a tag; to read only.
    autocommit : bool, optional
        Commit every change before it returns. By default only in other processes than the one that made the store.
    **settings
        More arguments of `array_format.open`: ``options``, ``deadline``, ``codec``, ...

    Examples
    --------
    >>> import zarr, array_format
    >>> with Store("memory://example.af") as store:
    ...     root = zarr.create_group(store)
    ...     depth = root.create_array("depth", data=np.arange(5.0), dimension_names=["x"], compressors=None)
    >>> array_format.open("memory://example.af")["depth"][:2]
    array([0., 1.])
    """

    supports_writes = True
    supports_deletes = True
    supports_listing = True

    def __init__(
        self,
        url: str | os.PathLike[str],
        *,
        read_only: bool = False,
        version: int | str | None = None,
        autocommit: bool | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(read_only=read_only or version is not None)
        if version is not None and autocommit:
            raise InvalidArgumentError("an older version is to read only")
        self._url, self._version, self._settings = os.fspath(url), version, settings
        self._autocommit = autocommit
        self._home = process()
        self._least = 0
        self._session: Session | None = None

    # Opening, committing, closing.

    @property
    def url(self) -> str:
        """The path or URL of the file."""
        return self._url

    def _shared(self) -> Session:
        """The session of this process."""
        if self._session is None:
            self._session = session(self._url, self._version, self._settings, not self.read_only, _mark_new)
            if self._home != process():
                self._session.shared = True
            if self._session.file.version < self._least:
                self._session.refresh()
        return self._session

    @property
    def _editor(self) -> Editor:
        return Editor(self._shared())

    @property
    def _durably(self) -> bool:
        return self._home != process() if self._autocommit is None else self._autocommit

    async def _open(self) -> None:
        await super()._open()
        await asyncio.to_thread(self._shared)

    async def _ready(self) -> Editor:
        """The nodes of the file, with what others have committed until now."""
        if not self._is_open:
            await self._open()
        editor = self._editor
        if editor.session.shared:
            await asyncio.to_thread(editor.session.fresh)
        return editor

    async def _writing(self) -> Editor:
        self._check_writable()
        return await self._ready()

    def commit(self, message: str = "") -> int:
        """Makes everything that was written a version of the file, and returns its number.

        Raises
        ------
        ConflictError
            If somebody else has changed the same chunk, attribute or definition. Nothing is lost: the changes are still pending.
        """
        self._check_writable()
        return self._shared().commit(message)

    @contextlib.contextmanager
    def transaction(self, message: str = "") -> Iterator[Self]:
        """All that is written within a ``with`` statement becomes one version at its end, or nothing of it after an exception.

        Raises
        ------
        InvalidArgumentError
            If something that was written before has not been committed.
        """
        self._check_writable()
        before, self._autocommit = self._autocommit, False
        try:
            with self._shared().file.transaction(message):
                yield self
        finally:
            self._autocommit = before

    def refresh(self) -> None:
        """Shows what other processes have committed. Stores that were sent to other processes, or came from one, do so by themselves."""
        self._shared().refresh()

    @property
    def file(self) -> File:
        """The file, to read: what was written but not committed shows there, too."""
        return self._shared().file

    def close(self) -> None:
        """Commits what was written. A store that is used again opens its file again."""
        if self._session is not None:
            if not self.read_only:
                self._session.commit("zarr")
            self._session = None
        super().close()

    def with_read_only(self, read_only: bool = False) -> Store:
        """Another store on the same file."""
        if self._version is not None and not read_only:
            raise InvalidArgumentError("an older version is to read only")
        return type(self)(self._url, read_only=read_only, version=self._version, autocommit=self._autocommit, **self._settings)

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__ | {"_session": None, "_is_open": False}
        if self._version is None and (self._session is not None or not self.read_only):
            found = self._shared()
            found.commit("zarr")
            found.shared = True
            state["_least"] = found.file.version
        return state

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple:
        settings = tuple(sorted((k, repr(v)) for k, v in self._settings.items()))
        return self._url, self._version, self.read_only, settings

    def __str__(self) -> str:
        return self._url

    def __repr__(self) -> str:
        return f"Store({self._url!r})" if self._version is None else f"Store({self._url!r}, version={self._version!r})"

    # Reading.

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
        found = await self._read(editor, lambda: _document(editor, key))
        if found is not None:
            return prototype.buffer.from_bytes(found)
        chunk = await self._read(editor, lambda: _written(editor, key))
        return None if chunk is None else await self._chunk(editor, *chunk, prototype)

    async def _read(self, editor: Editor, read: Callable[[], Any]) -> Any:
        """Reads metadata: at once where nothing has to come over a network."""
        if "://" in self._url and not self._url.startswith(("file:", "memory:")):
            return await asyncio.to_thread(read)
        return read()

    async def _chunk(self, editor: Editor, layout: Layout, coords: tuple[int, ...], prototype: BufferPrototype) -> Buffer | None:
        kept = editor.session.encoded
        mark = (layout.path, coords, editor.session.edits, editor.session.file.version, id(layout))
        if layout.is_sharded and mark in kept:
            return kept[mark]
        try:
            array = Array(editor.session.file, layout.path)
            values = await asyncio.to_thread(_chunks.read, array, layout, coords)
        except NotFoundError:
            return None  # deleted meanwhile
        value = await _chunks.encode(values, layout, prototype)
        if layout.is_sharded and value is not None:
            while kept and sum(len(v) for v in kept.values()) + len(value) > KEPT_BYTES:
                kept.pop(next(iter(kept)), None)
            kept[mark] = value
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
        return await self._read(editor, lambda: editor.has(key) or _others.contains(editor.handle, key) or _written(editor, key) is not None)

    async def list(self) -> AsyncIterator[str]:
        """All keys."""
        async for key in self.list_prefix(""):
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """All keys that begin with `prefix`."""
        editor = await self._ready()
        for key in await self._read(editor, lambda: list(editor.keys(prefix))):
            yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """The names that are directly below `prefix`."""
        editor = await self._ready()
        for name in await self._read(editor, lambda: sorted(editor.directory(prefix.rstrip("/")))):
            yield name

    async def is_empty(self, prefix: str) -> bool:
        """Whether no key begins with `prefix` and ``/``."""
        editor = await self._ready()
        start = prefix if not prefix or prefix.endswith("/") else prefix + "/"
        return await self._read(editor, lambda: next(iter(editor.keys(start)), None) is None)

    # Writing.

    async def set(self, key: str, value: Buffer) -> None:
        """Makes the bytes of a key `value`.

        Raises
        ------
        ValueError
            If `value` is not what the metadata of its array say that a chunk is.
        """
        if not isinstance(value, Buffer):
            raise TypeError(f"a value is a zarr.abc.buffer.Buffer, not {type(value).__name__}")
        editor = await self._writing()
        if _tree.split(key)[1] in _tree.NAMES:
            await self._set_document(editor, key, value.to_bytes())
        else:
            await self._set_value(editor, key, value)

    async def _set_value(self, editor: Editor, key: str, value: Buffer) -> None:
        found = editor.chunk(key)
        if found is None:
            raw = value.to_bytes()
            await self._change(editor, lambda: _others.put(editor.handle, key, raw))
            return
        layout, coords = found
        values = await _chunks.decode(value, layout, default_buffer_prototype())

        def write() -> None:
            _chunks.write(Array(editor.session.file, layout.path), layout, coords, values)
            _others.delete(editor.handle, key)

        await self._change(editor, write)

    async def _set_document(self, editor: Editor, key: str, value: bytes) -> None:
        plan = _tree.plan(key, value)
        native = plan is not None and editor.can_hold(plan)
        chunks = {}
        if editor.has(key) and not (native and editor.keeps_data(plan)):
            # Bytes of chunks stay what they are, whatever their array becomes.
            chunks = await self._encoded(editor, _tree.split(key)[0])

        def put() -> None:
            if native:
                editor.put(plan)
            elif not editor.put_more(key, value):
                editor.delete(key)
                _others.put(editor.handle, key, value)

        await self._change(editor, put)
        if native and plan.definition is not None:
            start = plan.node + "/" if plan.node else ""
            for other in _others.keys(editor.handle, start):
                if editor.chunk(other) is not None:
                    chunks[other] = default_buffer_prototype().buffer.from_bytes(_others.get(editor.handle, other))
        for chunk, encoded in chunks.items():
            await self._set_value(editor, chunk, encoded)

    async def _encoded(self, editor: Editor, node: str) -> dict[str, Buffer]:
        """All chunks of an array that were written."""
        layout, found = editor.array(node), {}
        for key in [] if layout is None else editor.chunk_keys(layout):
            value = await self._whole(editor, key, default_buffer_prototype())
            if value is not None:
                found[key] = value
        return found

    async def _change(self, editor: Editor, apply: Callable[[], Any]) -> None:
        await asyncio.to_thread(editor.session.change, apply, self._durably)

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Makes the bytes of a key `value` if there is no such key."""
        await self._writing()
        if not await self.exists(key):
            await self.set(key, value)

    async def delete(self, key: str) -> None:
        """Deletes a key, if it is there. The chunks of an array are deleted with its metadata."""
        editor = await self._writing()
        other = _tree.ZARRAY if key.endswith(_tree.ZARR_JSON) else _tree.ZARR_JSON
        node, name = _tree.split(key)
        other = f"{node}/{other}" if node else other
        heir = None
        if name in (_tree.ZARR_JSON, _tree.ZARRAY) and editor.has(key):
            heir = _others.get(editor.handle, other)
        # An array with metadata of two formats lives on by the other ones.
        chunks = await self._encoded(editor, node) if heir is not None else {}

        def delete() -> None:
            if name in _tree.NAMES and editor.has(key):
                editor.delete(key)
            elif not _others.delete(editor.handle, key) and (found := _written(editor, key)) is not None:
                editor.handle.erase_chunk(found[0].path, list(found[1]))

        if await self.exists(key):
            await self._change(editor, delete)
        if heir is not None:
            await self._set_document(editor, other, heir)
        for chunk, encoded in chunks.items():
            await self._set_value(editor, chunk, encoded)

    async def delete_dir(self, prefix: str) -> None:
        """Deletes all keys below `prefix`."""
        editor = await self._writing()
        await self._change(editor, lambda: editor.delete_directory(prefix.strip("/")))


def _mark_new(file: File) -> None:
    """A file that a store has made has no metadata until they are set."""
    file._handle.set_attribute("", DECLARED, "string", '{"absent": true}')


def _document(editor: Editor, key: str) -> bytes | None:
    found = editor.document(key)
    return found if found is not None else _others.get(editor.handle, key)


def _written(editor: Editor, key: str) -> tuple[Layout, tuple[int, ...]] | None:
    found = editor.chunk(key)
    try:
        return found if found is not None and editor.handle.is_written(found[0].path, list(found[1])) else None
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
