"""The cache that all files of a process share."""

from __future__ import annotations

import os

from . import _core
from .errors import InvalidArgumentError


def set_cache(memory_bytes: int = 256 << 20, disk_folder: str | os.PathLike[str] | None = None, disk_bytes: int = 10 << 30) -> None:
    """Sets the cache of all files that are opened from now on.

    Parameters
    ----------
    memory_bytes : int
        What decoded blocks and index pages may take in memory, for all files together.
    disk_folder : path, optional
        A folder for what comes over a network, as it is stored. It outlives the process and never holds anything of another version.
    disk_bytes : int
        What the folder may take.
    """
    if memory_bytes < 0 or disk_bytes < 0:
        raise InvalidArgumentError("a cache cannot take less than nothing")
    folder = os.fspath(disk_folder) if disk_folder is not None else None
    _core.set_cache(memory_bytes, folder, disk_bytes if folder is not None else 0)


def sync_cache() -> None:
    """Waits until what the cache keeps on disk is there."""
    _core.sync_cache()
