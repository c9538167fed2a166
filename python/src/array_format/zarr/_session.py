"""Sessions: the open file that all stores of a process on one URL share, and when its changes are committed."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import uuid
import weakref
from collections.abc import Callable
from typing import Any

from .._file import File
from .._file import open as open_file
from ..errors import AlreadyExistsError, ConflictError, NotFoundError, SnapshotExpiredError

_SESSIONS: weakref.WeakValueDictionary[tuple, Session] = weakref.WeakValueDictionary()
_OPENING = threading.Lock()
_TOKEN = uuid.uuid4().hex

MOST_TRIES = 16
"""How often a change is done again on top of what others committed of the same thing."""


def process() -> str:
    """What no other process is called."""
    return f"{_TOKEN}-{os.getpid()}"


def session(url: str, version: int | str | None, settings: dict[str, Any], create: bool, new: Callable[[File], None]) -> Session:
    """The session of this process on a URL; opened in its newest version if there is none.

    `new` is told of a file that did not exist and was made.
    """
    place = url if "://" in url else os.path.abspath(url)
    key = (process(), place, version, tuple(sorted((k, repr(v)) for k, v in settings.items())))
    with _OPENING:
        found = _SESSIONS.get(key)
        if found is not None and version is None:
            try:
                found.refresh()
            except (NotFoundError, SnapshotExpiredError):
                found.file._open = None  # the file that it was on is gone, and its changes with it
                found = None
        if found is None:
            found = Session(_open(url, version, settings, create, new))
            _SESSIONS[key] = found
        return found


def _open(url: str, version: int | str | None, settings: dict[str, Any], create: bool, new: Callable[[File], None]) -> File:
    if version is not None:
        return open_file(url, "r", version=version, **settings)
    try:
        return open_file(url, "r+", **settings)
    except NotFoundError:
        if not create:
            raise
    try:
        file = open_file(url, "x", **settings)
    except AlreadyExistsError:
        return open_file(url, "r+", **settings)
    new(file)
    return file


def _finish(file: File) -> None:
    """Commits what is pending when nobody can do it any more."""
    if not file.closed and file.has_pending:
        file.commit("zarr")


class Session:
    """An open file, and the changes in it that wait for a commit."""

    def __init__(self, file: File) -> None:
        self.file = file
        self.lock = threading.RLock()
        """Held while something is changed that takes several calls."""
        self.shared = False
        """Whether other processes may write the file at the same time."""
        self.layouts: dict[str, Any] = {}
        self.encoded: dict[Any, Any] = {}
        """Shards as bytes, by path and coordinates, of the state that `encoded_state` tells."""
        self.encoded_state: Any = None
        self.edits = 0
        self._committing, self._refreshing = threading.Lock(), threading.Lock()
        self._log: list[Callable[[], Any]] = []
        self._others = False
        self._numbers, self._started = itertools.count(1), 0
        self._durable = 0
        self._finalizer = weakref.finalize(self, _finish, file)

    @property
    def handle(self) -> Any:
        """The handle of the file."""
        return self.file._handle

    def change(self, apply: Callable[[], Any], durably: bool, single: bool = False) -> None:
        """Makes a change; `durably` returns when it is committed. Not more than one at once, unless it is a `single` call of the handle.

        Changes that come while another commit is under way go into one commit together.
        """
        if not durably:
            self._others = True
            with contextlib.nullcontext() if single else self.lock:
                apply()
            with self.lock:
                self.edits += 1
                self._others = True  # a commit may have begun before the change and ended now
            return
        with self.lock:
            apply()
            self.edits += 1
            ticket = self.edits
            self._log.append(apply)
        with self._committing:
            if self._durable < ticket:
                self._commit("zarr", redo=True)

    def commit(self, message: str = "") -> int:
        """Makes what is pending a version, and returns its number."""
        with self._committing:
            if self.file.has_pending:
                self._commit(message, redo=False)
            return self.file.version

    def _commit(self, message: str, redo: bool) -> None:
        with self.lock:
            mark, entries = self.edits, len(self._log)
        try:
            if self.file.has_pending:
                self.file.commit(message)
        except ConflictError:
            if not redo or self._others:
                raise
            mark, entries = self._redo(message), 0
        with self.lock:
            del self._log[:entries]
            self._durable = mark
            self.settle()

    def settle(self) -> None:
        """Notices that what others than logged changes had pending has been committed or discarded."""
        self._others = self._others and self.file.has_pending

    def _redo(self, message: str) -> int:
        """The last one to write a key wins, as in every other store: changes are done again on top of what others committed."""
        with self.lock:
            self.file.discard()
            for apply in self._log:
                for left in reversed(range(MOST_TRIES)):
                    self.file.refresh()
                    apply()
                    try:
                        self.file.commit(message)
                        break
                    except ConflictError:
                        self.file.discard()
                        if not left:
                            raise
            self._log.clear()
            return self.edits

    def refresh(self) -> None:
        """Shows what others have committed before the call; what overlaps with pending changes is told by their commit."""
        asked = next(self._numbers)
        with self._refreshing:
            if self._started > asked:
                return  # somebody else's began after this call did
            self._started = next(self._numbers)
            try:
                self.file.refresh()
            except ConflictError:
                pass

    def fresh(self) -> None:
        """The same, if others may have committed anything."""
        if self.shared:
            self.refresh()
