"""Files: opening them, and their versions."""

from __future__ import annotations

import json
import operator
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from . import _columns, _core, _repr
from ._attributes import JSON_PREFIX
from ._batch import read_many, read_ragged
from ._gate import Gate
from ._group import Group
from .errors import AlreadyExistsError, InvalidArgumentError, NotFoundError, PermissionDeniedError

if TYPE_CHECKING:
    from ._core import _Settings

Mode = Literal["r", "r+", "a", "w", "w-", "x"]


@dataclass(frozen=True)
class Version:
    """A version of a file: what one commit made.

    Attributes
    ----------
    number : int
        Its number; 0 is the empty file.
    time : datetime
        When it was committed, as the writer's clock had it.
    message : str
        What the writer said.
    cause : str
        ``"create"``, ``"commit"``, ``"compaction"`` or ``"collection"``.
    arrays, layers : int
        How many arrays are in it, and how many layers it needs.
    layer_bytes : int
        What its own layer takes.
    tags : tuple of str
        Its names.
    """

    number: int
    time: datetime
    message: str
    cause: str
    arrays: int
    layers: int
    layer_bytes: int
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """What happened to an array or group between two versions.

    Attributes
    ----------
    kind : str
        ``"added"``, ``"removed"`` or ``"modified"``.
    definition : bool
        Whether shape, type or another part of the definition differ, or it is another array of the same name.
    chunks : list of tuple of int
        Coordinates, in the grid of chunks, of those whose data differ.
    attributes : list of str
        Attributes that were set, changed or removed.
    """

    kind: str
    definition: bool
    chunks: list[tuple[int, ...]]
    attributes: list[str]


@dataclass(frozen=True)
class Usage:
    """Bytes of the layers of a version, of the blocks in them, and of what the chunks in them are that it still needs, and does not."""

    layer_bytes: int
    block_bytes: int
    live_bytes: int
    dead_bytes: int


@dataclass(frozen=True)
class GcReport:
    """What was deleted, or with `dry_run` would be: names and bytes; and leftovers of writers that died."""

    objects: list[tuple[str, int]]
    swept: int

    @property
    def nbytes(self) -> int:
        """Bytes of all these objects."""
        return sum(n for _, n in self.objects)


@dataclass(frozen=True)
class DamageReport:
    """What was checked, and an exception for each damage that was found."""

    versions: int
    layers: int
    pages: int
    blocks: int
    chunks: int
    nodes: int
    damage: list[Exception]

    @property
    def is_clean(self) -> bool:
        """Whether there is no damage."""
        return not self.damage


def open(
    url: str | os.PathLike[str],
    mode: Mode = "r",
    *,
    version: int | str | None = None,
    options: Mapping[str, Any] | None = None,
    deadline: float | None = None,
    single_writer: bool = False,
    memory_maps: bool = False,
    codec: str | None = None,
    pending_bytes: int | None = None,
    block_bytes: int | None = None,
    frame_bytes: int | None = None,
    auto_compact: int | None = None,
) -> File:
    """Opens a file, or makes one.

    Parameters
    ----------
    url : str or path
        A path, or ``s3://``, ``gs://``, ``az://``, ``abfs://``, ``https://`` (to read), ``file://``, ``memory://``.
    mode : str
        ``"r"`` to read; ``"r+"`` to read and write a file that is there; ``"a"`` the same, and it is made if it is not there; ``"w"`` to
        make one, instead of one that is there; ``"x"`` or ``"w-"`` to make one where none is.
    version : int or str, optional
        The number of an older version, or a tag; to read only.
    options : mapping, optional
        Options of the store, which win over the environment: ``{"endpoint": ..., "region": ..., "skip_signature": True}``. See
        ``docs/stores.md``.
    deadline : float, optional
        Seconds within which an operation of the store succeeds or fails; 60 unless set.
    single_writer : bool
        Accept a store that ignores conditions, because no two processes ever write the file at once.
    memory_maps : bool
        Read a file of this machine through a memory map, without a copy of what the system holds of it. If something truncates the file
        meanwhile, the process ends.
    codec : str, optional
        What the file's blocks are compressed with, for arrays that do not say: ``"none"``, ``"lz4"``, ``"zstd:3"``. What is best for a
        sample of the data unless set.
    pending_bytes : int, optional
        Memory that written data may take until the commit; what is more goes ahead to the store. 32 MiB unless set.
    block_bytes, frame_bytes : int, optional
        How large blocks that small chunks share are, and the parts of large chunks that are decoded alone.
    auto_compact : int, optional
        Layers after which a commit merges small ones.

    Returns
    -------
    File

    Raises
    ------
    NotFoundError
        If there is no file, and it is not to be made.
    AlreadyExistsError
        With mode ``"x"``, if there is one.
    PermissionDeniedError, UnavailableError, CorruptError, UnsupportedError
        If the store or the file says so.
    """
    settings: _Settings = {
        "options": [(str(k), _option(v)) for k, v in (options or {}).items()],
        "deadline": deadline,
        "single_writer": single_writer,
        "memory_maps": memory_maps,
        "codec": codec,
        "pending_bytes": pending_bytes,
        "block_bytes": block_bytes,
        "frame_bytes": frame_bytes,
        "auto_compact": auto_compact,
    }
    if mode not in ("r", "r+", "a", "w", "w-", "x"):
        raise InvalidArgumentError(f"mode {mode!r}: say 'r', 'r+', 'a', 'w', 'w-' or 'x'")
    counts = {"pending_bytes": pending_bytes, "block_bytes": block_bytes, "frame_bytes": frame_bytes, "auto_compact": auto_compact}
    for name, given in counts.items():
        if given is not None and not (isinstance(given, int) and 0 <= given < 2**63):
            raise InvalidArgumentError(f"{name} is {given!r}: an integer from 0 is wanted")
    url = os.fsdecode(url)
    if version is not None and mode != "r":
        raise InvalidArgumentError("an older version is to read only: mode 'r'")
    if isinstance(version, str):
        with File(url, "r", _core.open(url, None, settings), settings) as newest:
            version = newest._number(version)
    elif version is not None:
        version = _version_number(version)
    if mode in ("w", "w-", "x"):
        try:
            handle = _core.create(url, mode == "w", settings)
        except AlreadyExistsError:
            raise AlreadyExistsError(f"{url} is there already: mode 'w' replaces it, mode 'a' adds to it", file=url) from None
    else:
        try:
            handle = _core.open(url, version, settings)
        except NotFoundError:
            if mode != "a":
                raise
            handle = _core.create(url, False, settings)
    return File(url, mode, handle, settings, version)


def _version_number(version: Any) -> int:
    try:
        number = operator.index(version)
    except TypeError:
        raise InvalidArgumentError(f"a version is a number or a tag, not {version!r:.50}") from None
    if not 0 <= number < 2**63:
        raise NotFoundError(f"there is no version {version}: they are numbered from 0")
    return number


def _option(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class File(Group):
    """An open file: its root group, its versions, and its pending changes.

    Changes are pending until `commit` makes them one version, all or none; reading shows them at once. A ``with`` statement commits at
    its end what is pending, and discards it after an exception; `close` commits too. For more than one version, or to be sure where one
    begins, say ``with file.transaction():``.

    Files that are open can be sent to other processes (`pickle`), where they are opened anew: for reading, in the version that they have
    here; else in their newest.

    Made by `open`.
    """

    def __init__(self, url: str, mode: str, handle: _core.Handle, settings: _Settings, version: int | None = None) -> None:
        self._path = ""
        self._url, self._mode, self._settings, self._fixed = url, mode, settings, version
        self._open: _core.Handle | None = handle
        self._in_transaction = False
        self._changes = 0
        self._gate = Gate()

    @property
    def _root(self) -> File:  # type: ignore[override] # not an attribute, which would be a cycle that keeps a file open until it is found
        return self

    @property
    def _handle(self) -> _core.Handle:
        if self._open is None:
            raise InvalidArgumentError(f"{self._url} has been closed", file=self._url)
        return self._open

    def _writable(self) -> _core.Handle:
        if self._mode == "r":
            raise PermissionDeniedError(f"{self._url} was opened to read: open it with mode 'r+'", file=self._url)
        self._changes += 1  # arrays look again what they are
        return self._handle

    # Opening and closing.

    @property
    def url(self) -> str:
        """The path or URL that it was opened by."""
        return self._url

    @property
    def mode(self) -> str:
        """The mode that it was opened with."""
        return self._mode

    @property
    def closed(self) -> bool:
        """Whether it has been closed."""
        return self._open is None

    def close(self) -> None:
        """Commits what is pending, and gives up the handle; arrays and groups of the file can't be used any more."""
        if self._open is not None:
            if self._open.has_pending():
                self.commit()
            self._open = None

    def __enter__(self) -> File:
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        if kind is not None and self._open is not None and self._open.has_pending():
            self.discard()
        self.close()

    def __del__(self) -> None:
        handle = getattr(self, "_open", None)
        if handle is not None and handle.has_pending():
            warnings.warn(f"{self._url}: changes were neither committed nor discarded, and are gone", ResourceWarning, stacklevel=2)

    def __reduce__(self) -> tuple[Any, ...]:
        handle = self._handle
        if handle.has_pending():
            what = "has pending changes, which do not go to other processes: commit them first"
            raise InvalidArgumentError(f"{self._url} {what}", file=self._url)
        version = handle.version() if self._mode == "r" else None
        return _reopen, (self._url, "r" if self._mode == "r" else "r+", version, self._settings)

    # Versions.

    @property
    def version(self) -> int:
        """The number of the version that is open."""
        return self._handle.version()

    @property
    def has_pending(self) -> bool:
        """Whether there are changes that were neither committed nor discarded."""
        return self._handle.has_pending()

    def commit(self, message: str = "") -> int:
        """Makes all pending changes one version, durably, and returns its number.

        If others have committed meanwhile, the changes are put on top of theirs.

        Raises
        ------
        ConflictError
            If one of them changed the same chunk, attribute or definition. Nothing is lost: the changes are still pending.
        UnavailableError, PermissionDeniedError
            If the store says so; likewise.
        """
        return self._writable().commit(message)

    def discard(self) -> None:
        """Drops all pending changes."""
        self._writable().discard()

    def refresh(self) -> bool:
        """Goes to the newest version, keeping pending changes, and returns whether there was a newer one.

        Arrays that were got before are what they are in that version.
        """
        self._changes += 1
        return self._handle.refresh()

    @contextmanager
    def transaction(self, message: str = "") -> Iterator[File]:
        """All changes within a ``with`` statement become one version at its end, or none after an exception.

        Raises
        ------
        InvalidArgumentError
            If there are pending changes at its beginning.
        ConflictError
            As `commit`; the changes are still pending then.
        """
        handle = self._writable()
        if self._in_transaction or handle.has_pending():
            what = "is in a transaction" if self._in_transaction else "has pending changes: commit or discard them"
            raise InvalidArgumentError(f"a transaction cannot begin: {self._url} {what}", file=self._url)
        self._in_transaction = True
        try:
            try:
                yield self
            except BaseException:
                if self._open is not None:
                    self.discard()
                raise
            if handle.has_pending():
                self.commit(message)
        finally:
            self._in_transaction = False

    def versions(self) -> list[Version]:
        """All versions that can still be opened, oldest first."""
        return [
            Version(number, datetime.fromtimestamp(ms / 1000, UTC), message, cause, arrays, layers, layer_bytes, tuple(tags))
            for number, ms, message, cause, arrays, layers, layer_bytes, tags in self._handle.versions()
        ]

    def at(self, version: int | str) -> File:
        """Another handle, to read an older version: by number, or by tag."""
        _ = self._handle  # a closed file has none
        number = self._number(version)
        return File(self._url, "r", _core.open(self._url, number, self._settings), self._settings, number)

    def _number(self, version: int | str) -> int:
        if not isinstance(version, str):
            return _version_number(version)
        tags = self._handle.tags()
        if version not in tags:
            known = ", ".join(sorted(tags)) or "none"
            raise NotFoundError(f"{self._url} has no tag {version!r}; tags: {known}", file=self._url)
        return tags[version]

    def diff(self, old: int | str, new: int | str | None = None) -> dict[str, Change]:
        """What changed from one version to another, or to the one that is open, by path."""
        to = self.version if new is None else self._number(new)
        rows = self._handle.diff(self._number(old), to)
        return {path: Change(kind, definition, [tuple(c) for c in chunks], names) for path, kind, definition, chunks, names in rows}

    @property
    def tags(self) -> dict[str, int]:
        """Names for versions. What a tag names is kept."""
        return self._handle.tags()

    def tag(self, name: str, version: int | str | None = None) -> None:
        """Names a version; the one that is open, unless another is given."""
        self._writable().tag(name, self.version if version is None else self._number(version))

    def remove_tag(self, name: str) -> None:
        """Removes a tag."""
        if not self._writable().remove_tag(name):
            raise NotFoundError(f"{self._url} has no tag {name!r}", file=self._url)

    # Upkeep.

    @property
    def num_layers(self) -> int:
        """Layers that the version needs."""
        return self._handle.num_layers()

    @property
    def usage(self) -> Usage:
        """What its layers take, and how much of it is dead."""
        return Usage(*self._handle.usage())

    @property
    def counters(self) -> dict[str, int]:
        """What this handle did so far: requests, bytes that they asked for, blocks decoded, blocks found in the cache."""
        return dict(zip(("requests", "bytes", "decoded_blocks", "cache_hits"), self._handle.counters(), strict=True))

    def compact(self, *, keep_versions: bool = False, incremental: bool = False) -> int:
        """Merges all layers into one, and returns the version that it is.

        Parameters
        ----------
        keep_versions : bool
            Keep what older versions need, so that they can still be opened.
        incremental : bool
            Merge small layers only, which costs less.
        """
        return self._writable().compact(keep_versions, incremental)

    def gc(self, *, dry_run: bool = False, keep_last: int = 1, keep_since: datetime | None = None) -> GcReport:
        """Deletes what no kept version needs: older versions, and what writers left behind that failed.

        Parameters
        ----------
        dry_run : bool
            Tell, and delete nothing.
        keep_last : int
            Keep that many of the newest versions, and those that have tags.
        keep_since : datetime, optional
            Keep the versions that were committed since then, too.
        """
        since = None if keep_since is None else int(keep_since.timestamp() * 1000)
        if keep_last < 1:
            raise InvalidArgumentError(f"keep_last is {keep_last}: the newest version is always kept")
        handle = self._handle if dry_run else self._writable()
        return GcReport(*handle.gc(dry_run, keep_last, since))

    def verify(self, *, statistics: bool = False) -> DamageReport:
        """Reads all that every version has, and checks every checksum and every reference.

        Parameters
        ----------
        statistics : bool
            Hold the statistics against the data, too.
        """
        checked, damage = self._handle.verify(statistics)
        versions, layers, pages, blocks, chunks, nodes = checked
        return DamageReport(versions, layers, pages, blocks, chunks, nodes, damage)

    # Many arrays at once.

    def read_many(self, names: Iterable[str]) -> list[np.ndarray]:
        """Many whole arrays in one call, in the order of `names`: much faster than one by one.

        Arrays of numbers that have one type share one piece of memory.
        """
        if isinstance(names, str):
            raise InvalidArgumentError(f"one name, {names!r}, where a list of names is wanted", file=self._url)
        return read_many(self, list(names))

    def read_ragged(self, names: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
        """Many whole arrays one behind the other, as CF has contiguous ragged arrays: the fastest way to read all of many.

        Parameters
        ----------
        names : iterable of str
            Arrays of numbers of one type, without nulls. Sorted names are read fastest.

        Returns
        -------
        values : numpy.ndarray
            All elements in one dimension, those of each array in C order.
        offsets : numpy.ndarray
            Where each array begins, and where the last one ends: array ``i`` is ``values[offsets[i]:offsets[i + 1]]``.
        """
        if isinstance(names, str):
            raise InvalidArgumentError(f"one name, {names!r}, where a list of names is wanted", file=self._url)
        return read_ragged(self, list(names))

    def attribute_column(self, name: str) -> _columns.Table:
        """One attribute of all arrays and groups that have it: columns ``"name"`` and ``"value"``. Reads no more than that."""
        names, values = _attribute_column(self._handle, name)
        return _columns.Table({"name": _columns.names(names), "value": values})

    def statistics_table(self) -> _columns.Table:
        """What is known of all arrays: columns ``"name"``, ``"size"``, ``"min"``, ``"max"``, ``"count"``, ``"nulls"``, ``"nans"``."""
        names, size, low, high, counts = self._handle.statistics_column()
        columns = {"name": _columns.names(names), "size": size, "min": _columns.column(low), "max": _columns.column(high)}
        columns |= {key: _columns.counts(c) for key, c in zip(("count", "nulls", "nans"), counts, strict=True)}
        return _columns.Table(columns)

    def table(self, *attributes: str) -> _columns.Table:
        """`statistics_table`, and a column for each attribute, masked where an array does not have it.

        The column of an attribute with the name of a statistic is ``"attrs.min"``, ``"attrs.name"`` and so on.
        """
        table = self.statistics_table()
        names = table["name"].tolist()
        columns = dict(table)
        for name in attributes:
            columns[f"attrs.{name}" if name in table else name] = _columns.aligned(names, *_attribute_column(self._handle, name))
        return _columns.Table(columns)

    # For writers that share one commit.

    def detach(self) -> bytes:
        """Writes the pending changes to an object of their own, and returns a receipt. They are no version until `join` and `commit`.

        What can be detached: data, new arrays and groups, attributes, longer axes. Workers that define the same array in the same
        way fill it together.
        """
        return self._writable().detach()

    def join(self, receipts: Iterable[bytes]) -> None:
        """Makes what others detached pending here, all of it or none; `commit` then makes it one version.

        Raises
        ------
        ConflictError
            If two of them changed the same chunk or attribute, or somebody committed a change of it since they began.
        """
        self._writable().join(list(receipts))

    def abandon(self, receipts: Iterable[bytes]) -> None:
        """Deletes what was detached and will not be joined."""
        self._writable().abandon(list(receipts))

    # What it looks like.

    def __repr__(self) -> str:
        return _repr.file(self)


def _attribute_column(handle: _core.Handle, name: str) -> tuple[list[str], np.ndarray]:
    """The nodes that have an attribute, and its values; among them those that are JSON."""
    names, found = handle.attribute_column(name)
    values = _columns.column(found)
    more, texts = handle.attribute_column(JSON_PREFIX + name)
    if not more:
        return names, values
    together = dict(zip(names, values.tolist() if values.dtype.kind == "T" else values, strict=True))
    together |= {node: json.loads(text) for node, text in zip(more, _columns.column(texts), strict=True)}
    column = np.empty(len(together), object)
    for i, node in enumerate(sorted(together)):
        column[i] = together[node]
    return sorted(together), column


def _reopen(url: str, mode: str, version: int | None, settings: _Settings) -> File:
    return File(url, mode, _core.open(url, version, settings), settings, version)


