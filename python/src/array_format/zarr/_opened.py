"""Stores: on which file they are, and when what they wrote is committed."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any, Self

from zarr.abc.store import Store as ZarrStore

from .._file import File
from ..errors import InvalidArgumentError
from ._change import Editor
from ._layout import DECLARED
from ._session import Session, process, session

SMALL_BYTES = 32 << 10
"""A chunk of no more than this is copied in less time than it takes to ask another thread for it."""


class OpenedStore(ZarrStore):
    """A store on a file: all but reading and writing."""

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
            self._shared().settle()

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

    def with_read_only(self, read_only: bool = False) -> Self:
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

    async def _work(self, work: Callable[[], Any], nbytes: int = 0) -> Any:
        """Does what takes little time at once, and all else, and what may have to wait for a network, on another thread."""
        if nbytes > SMALL_BYTES or not self._near:
            return await asyncio.to_thread(work)
        return work()

    @property
    def _near(self) -> bool:
        return "://" not in self._url or self._url.startswith(("file:", "memory:"))


def _mark_new(file: File) -> None:
    """A file that a store has made has no metadata until they are set."""
    file._handle.set_attribute("", DECLARED, "string", '{"absent": true}')
