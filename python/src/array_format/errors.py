"""Exceptions of the package.

Every exception is an `ArrayFormatError` with a stable `kind`, and most are one of Python's own as well, so that
``except FileNotFoundError`` and ``except KeyError`` do what one expects.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "AlreadyExistsError",
    "ArrayFormatError",
    "ConflictError",
    "CorruptError",
    "InvalidArgumentError",
    "NotFoundError",
    "PermissionDeniedError",
    "SnapshotExpiredError",
    "UnavailableError",
    "UnsupportedError",
]


class ArrayFormatError(Exception):
    """What went wrong, where, and what to do about it.

    Attributes
    ----------
    kind : str
        A stable word for programs, such as ``"conflict"``.
    file, layer, array : str or None
        What it is about, as far as it is known.
    block, offset : int or None
        The block, and the byte in the layer at which the trouble begins.
    """

    kind: str = ""

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        layer: str | None = None,
        array: str | None = None,
        block: int | None = None,
        offset: int | None = None,
    ) -> None:
        super().__init__(message)
        self.file, self.layer, self.array = file, layer, array
        self.block, self.offset = block, offset

    def __str__(self) -> str:
        # KeyError would show the repr, FileNotFoundError would look for an errno.
        return str(self.args[0]) if self.args else ""

    def __reduce__(self) -> tuple[Any, ...]:
        place = {name: getattr(self, name) for name in ("file", "layer", "array", "block", "offset")}
        return _rebuild, (type(self), str(self), place)


class NotFoundError(ArrayFormatError, FileNotFoundError, KeyError):
    """The file, version, array, group or attribute is not there."""

    kind = "not_found"


class AlreadyExistsError(ArrayFormatError, FileExistsError):
    """Something of that name is there already."""

    kind = "already_exists"


class InvalidArgumentError(ArrayFormatError, ValueError):
    """The call itself is wrong: type, rank, bounds, name. Nothing was changed."""

    kind = "invalid_argument"


class ConflictError(ArrayFormatError):
    """Another writer changed the same thing first. The pending changes are kept: discard them, refresh, and do them again."""

    kind = "conflict"


class PermissionDeniedError(ArrayFormatError, PermissionError):
    """The store refused for lack of rights, or the handle is for reading only."""

    kind = "permission_denied"


class UnavailableError(ArrayFormatError, OSError):
    """The store failed or cannot be reached; trying again may help."""

    kind = "unavailable"


class CorruptError(ArrayFormatError):
    """The bytes are not what their checksum or their structure demands. ``File.verify`` tells the whole damage."""

    kind = "corrupt"


class UnsupportedError(ArrayFormatError, NotImplementedError):
    """The file needs a later version of the package, or a feature or codec that it does not have."""

    kind = "unsupported"


class SnapshotExpiredError(ArrayFormatError):
    """The version that was opened has been collected; open the file again."""

    kind = "snapshot_expired"


BY_KIND: dict[str, type[ArrayFormatError]] = {cls.kind: cls for cls in ArrayFormatError.__subclasses__()}


def _rebuild(cls: type[ArrayFormatError], message: str, place: dict[str, Any]) -> ArrayFormatError:
    return cls(message, **place)


def _from_core(kind: str, message: str, place: tuple[Any, ...]) -> ArrayFormatError:
    """The exception for an error of the Rust library."""
    file, layer, array, block, offset = place
    cls = BY_KIND.get(kind, ArrayFormatError)
    return cls(message, file=file, layer=layer, array=array, block=block, offset=offset)
