"""Dask: arrays of a file as arrays of Dask, and many workers that write one version.

With a client of `distributed`, each worker writes what it computes to a detached layer of its own, and the client makes one version of
them. A worker that dies is made up for by the others; a task that fails leaves nothing that a reader could see, and what it has
written is deleted, or collected by ``File.gc`` later. Without a client, threads of this process write through one handle.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import dask
import dask.array as da
import numpy as np
from dask.base import get_scheduler

from ._array import Array
from ._file import File, _reopen
from .errors import InvalidArgumentError, UnavailableError

__all__ = ["from_array", "others_compute", "store"]

ATTEMPTS = 3
"""How often what dead workers took with them is computed again."""


def from_array(array: Array, chunks: Any = None) -> da.Array:
    """An array of a file as an array of Dask.

    Parameters
    ----------
    array : Array
        Of a file that is open to read: then all workers read the version that is open here.
    chunks : optional
        As in `dask.array.from_array`; by default the chunks of the file, several together where they are small.
    """
    if chunks is None:
        chunks = da.core.normalize_chunks("auto", array.shape, dtype=array.dtype, previous_chunks=array.chunks or array.shape)
    return da.from_array(array, chunks=chunks, name=f"array-format-{dask.base.tokenize(array.file.url, array.file.version, array.path)}")


def others_compute(arrays: Sequence[da.Array]) -> bool:
    """Whether other processes than this one will compute arrays."""
    return _client(arrays) is not None or _is_multiprocessing(arrays)


def _client(arrays: Sequence[da.Array]) -> Any:
    """The client of `distributed` that will compute arrays."""
    of = getattr(get_scheduler(collections=list(arrays)), "__self__", None)
    return of if hasattr(of, "scheduler_info") and hasattr(of, "run") else None


def _is_multiprocessing(arrays: Sequence[da.Array]) -> bool:
    return getattr(get_scheduler(collections=list(arrays)), "__module__", "") == "dask.multiprocessing"


def store(sources: Sequence[da.Array], targets: Sequence[Array], regions: Sequence[tuple[slice, ...]] | None = None) -> None:
    """Computes arrays and writes them to arrays of one file, where they are pending until its commit.

    Parameters
    ----------
    sources : list of dask.array.Array
        What is written.
    targets : list of Array
        Where to, all in one file that is open to write. They may be as new as the pending changes of that file.
    regions : list of tuple of slice, optional
        Which part of each target, by slices with a start and a stop; all of it unless given.

    Raises
    ------
    InvalidArgumentError
        If, where other processes write, a chunk of the file would be written by two tasks: rechunk then, as the message says.
    ConflictError
        If the file was changed by somebody else in the same places.
    """
    if not sources:
        return
    if len({id(t.file) for t in targets}) != 1:
        raise InvalidArgumentError("all targets have to be of one file, opened once")
    regions = list(regions) if regions is not None else [tuple(slice(0, n) for n in t.shape) for t in targets]
    file = targets[0].file
    if not others_compute(sources):
        da.store(list(sources), list(targets), regions=regions, lock=False)
        return
    if file.url.startswith("memory://"):
        raise InvalidArgumentError(f"{file.url} is in the memory of this process: others cannot write to it", file=file.url)
    for source, target, region in zip(sources, targets, regions, strict=True):
        _check_aligned(source, target, region)
    parts = [_Part.of(target, region) for target, region in zip(targets, regions, strict=True)]
    session = _Session(uuid.uuid4().hex, file.url, file._settings, keep=_client(sources) is not None)
    receipts: list[bytes] = []
    try:
        _compute(session, sources, parts, receipts)
        file.join(receipts)
    except BaseException:
        _give_up(session, _client(sources), file, receipts)
        raise


def _check_aligned(source: da.Array, target: Array, region: tuple[slice, ...]) -> None:
    """That no chunk of the file is written by two tasks, which may be two processes."""
    chunk = target._chunk_shape()
    for axis, (sizes, part, length) in enumerate(zip(source.chunks, region, chunk, strict=True)):
        borders = itertools.accumulate(sizes[:-1], initial=part.start)
        for border in itertools.islice(borders, 1, None):
            if border % length and border != part.start + sum(sizes):
                raise InvalidArgumentError(
                    f"chunks of Dask end at {border} on axis {axis} of {target.path!r}, in the middle of a chunk of the file (chunks {chunk}): "
                    f"two processes would write it. Rechunk the data to multiples of that, or say encoding={{'chunks': ...}}",
                    array=target.path,
                )


@dataclass(frozen=True)
class _Part:
    """A part of an array, for a worker: how it is defined, if no version has it, and where the part begins."""

    path: str
    shape: tuple[int, ...]
    definition: dict[str, Any]
    hidden: tuple[str, Any] | None
    start: tuple[int, ...]

    @classmethod
    def of(cls, target: Array, region: tuple[slice, ...]) -> _Part:
        return cls(target.path, target.shape, target._definition(), target._hidden(), tuple(s.start for s in region))

    def on(self, file: File) -> Array:
        """The array in a worker's file: found there, made longer, or defined like the committer's."""
        handle = file._handle
        if not handle.contains(self.path):
            handle.define(self.path, self.definition, False)
            if self.hidden is not None:
                handle.set_attribute(self.path, *self.hidden)
        array = Array(file, self.path)
        if array.shape != self.shape:
            array.resize(self.shape)
        return array


@dataclass(frozen=True)
class _Session:
    """One call of `store`, as its workers know it."""

    id: str
    url: str
    settings: dict[str, Any]
    keep: bool
    """Whether a worker keeps what it writes until it is asked for it; else each task detaches its own."""


@dataclass
class _Worker:
    """What a process has for a session: a file, and who it is."""

    file: File
    arrays: dict[str, Array] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    incarnation: str = field(default_factory=lambda: uuid.uuid4().hex)

    def write(self, part: _Part, block: np.ndarray, offset: Sequence[int]) -> None:
        with self.lock:
            array = self.arrays.get(part.path)
            if array is None:
                array = self.arrays[part.path] = part.on(self.file)
        if array.ndim == 0:
            array[...] = block
        elif block.size:
            begin = [a + b for a, b in zip(part.start, offset, strict=True)]
            array[tuple(slice(a, a + n) for a, n in zip(begin, block.shape, strict=False))] = block


_workers: dict[tuple[str, str], _Worker] = {}
_workers_lock = threading.Lock()


def _address() -> str:
    """Of the worker whose task this is; several workers may live in one process."""
    try:
        from distributed import get_worker

        return get_worker().address
    except (ImportError, ValueError):
        return ""


def _open(session: _Session) -> _Worker:
    return _Worker(_reopen(session.url, "r+", None, session.settings))


def _write_block(block: np.ndarray, session: _Session, part: _Part, block_info: Any = None) -> np.ndarray:
    """Writes one chunk of Dask; what comes back says who wrote it, or is a receipt."""
    offset = [start for start, _ in block_info[0]["array-location"]]
    if session.keep:
        with _workers_lock:
            key = session.id, _address()
            worker = _workers.get(key)
            if worker is None:
                worker = _workers[key] = _open(session)
        worker.write(part, block, offset)
        token: Any = worker.incarnation
    else:
        worker = _open(session)
        worker.write(part, block, offset)
        token = worker.file.detach() if worker.file.has_pending else None
    result = np.empty((1,) * block.ndim, object)
    result[...] = token
    return result


async def _finish(session: _Session, dask_worker: Any = None) -> tuple[str, bytes | None] | None:
    """In a worker: detaches what it has written."""
    with _workers_lock:
        worker = _workers.pop((session.id, dask_worker.address), None)
    if worker is None:
        return None
    return worker.incarnation, await asyncio.to_thread(worker.file.detach) if worker.file.has_pending else None


def _written(source: da.Array, session: _Session, part: _Part) -> da.Array:
    """An array of one element a block: computing it writes the block."""
    ones, meta = tuple((1,) * n for n in source.numblocks), np.empty((0,) * source.ndim, object)
    return source.map_blocks(_write_block, session=session, part=part, dtype=object, chunks=ones, meta=meta)


def _compute(session: _Session, sources: Sequence[da.Array], parts: Sequence[_Part], receipts: list[bytes]) -> None:
    """Has all blocks written; adds the receipts of what was."""
    wanted = [_written(source, session, part) for source, part in zip(sources, parts, strict=True)]
    client = _client(sources)
    if client is None:
        for tokens in dask.compute(*wanted):
            receipts += [t for t in tokens.ravel() if t is not None]
        return
    for _ in range(ATTEMPTS):
        written = dask.compute(*wanted)
        done = _collect(client, session, receipts)
        wanted = [blocks for tokens, of in zip(written, wanted, strict=True) for blocks in _lost(tokens, of, done)]
        if not wanted:
            return
    raise UnavailableError(f"workers died {ATTEMPTS} times while they wrote to {session.url}; nothing was committed", file=session.url)


def _collect(client: Any, session: _Session, receipts: list[bytes]) -> set[str]:
    """Asks all workers for their receipts, and returns who answered."""
    done = set()
    for answer in client.run(_finish, session, on_error="return").values():
        if isinstance(answer, tuple):
            incarnation, receipt = answer
            done.add(incarnation)
            if receipt is not None:
                receipts.append(receipt)
        elif isinstance(answer, Exception) and not isinstance(answer, OSError):
            raise answer
    return done


def _lost(tokens: np.ndarray, of: da.Array, done: set[str]) -> list[da.Array]:
    """The blocks that were written by workers that are no more."""
    return [of.blocks[at] if of.ndim else of for at in np.ndindex(tokens.shape) if tokens[at] not in done]


def _give_up(session: _Session, client: Any, file: File, receipts: list[bytes]) -> None:
    """Deletes what was written for nothing, as far as that is possible now."""
    try:
        if client is not None:
            for answer in client.run(_finish, session, on_error="return").values():
                if isinstance(answer, tuple) and answer[1] is not None:
                    receipts.append(answer[1])
        if receipts:
            file.abandon(receipts)
    except Exception:  # the first error is what is told; `gc` finds the rest
        return
