"""The store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from zarr.core.buffer import Buffer, default_buffer_prototype

from .._array import Array
from . import _chunks, _others, _tree
from ._change import Editor
from ._reading import ReadableStore, written


class Store(ReadableStore):
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

        await self._change(editor, write, layout.chunk_bytes)

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

    async def _change(self, editor: Editor, apply: Callable[[], Any], chunk_bytes: int = 0) -> None:
        """Makes a change; several chunks can be written at once."""
        durably = self._durably
        work = lambda: editor.session.change(apply, durably, chunk_bytes > 0)  # noqa: E731
        await (asyncio.to_thread(work) if durably else self._work(work, chunk_bytes))

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
            elif not _others.delete(editor.handle, key) and (found := written(editor, key)) is not None:
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
