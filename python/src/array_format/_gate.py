"""Threads that write through one file."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Gate:
    """Many threads that write regions at once, or one that reads some, changes it and writes it back.

    Without it, elements that one thread wrote between another's reading and writing would be lost.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._writers = 0
        self._owner: int | None = None

    @contextmanager
    def shared(self) -> Iterator[None]:
        """For writing a region as it is given."""
        if self._owner == threading.get_ident():
            yield
            return
        with self._changed:
            while self._owner is not None:
                self._changed.wait()
            self._writers += 1
        try:
            yield
        finally:
            with self._changed:
                self._writers -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """For reading, changing and writing; again within itself, too."""
        me = threading.get_ident()
        if self._owner == me:
            yield
            return
        with self._changed:
            while self._owner is not None or self._writers:
                self._changed.wait()
            self._owner = me
        try:
            yield
        finally:
            with self._changed:
                self._owner = None
                self._changed.notify_all()
