"""The engine for xarray: ``xarray.open_dataset("ocean.af")``, and ``dataset.array_format.save("ocean.af")``.

Opening needs no import: xarray finds the engine, by its name ``"array_format"`` or by the ending ``.af``. The accessor ``array_format`` of
datasets, data arrays and trees is there once this module, or after xarray the package itself, has been imported.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, Literal

import xarray as xr
from xarray.backends import BackendEntrypoint
from xarray.backends.common import datatree_from_dict_with_io_cleanup

from . import _xarray_decode
from ._file import File
from ._xarray_store import ArrayFormatStore
from ._xarray_write import PendingSave, save_tree

__all__ = ["ArrayFormatBackendEntrypoint", "DataTreeAccessor", "DatasetAccessor", "PendingSave"]


class ArrayFormatBackendEntrypoint(BackendEntrypoint):
    """The engine ``"array_format"`` of xarray."""

    description = "Open files of array-format (.af), on disk or by URL"
    supports_groups = True

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Whether a path or a URL ends with ``.af``."""
        if isinstance(filename_or_obj, File):
            return True
        if not isinstance(filename_or_obj, str | os.PathLike):
            return False
        return os.fspath(filename_or_obj).split("?", 1)[0].rstrip("/").endswith(".af")

    def open_dataset(
        self,
        filename_or_obj: Any,
        *,
        mask_and_scale: Any = True,
        decode_times: Any = True,
        concat_characters: Any = True,
        decode_coords: Any = True,
        drop_variables: str | Iterable[str] | None = None,
        use_cftime: Any = None,
        decode_timedelta: Any = None,
        group: str | None = None,
        version: int | str | None = None,
        options: Mapping[str, Any] | None = None,
        deadline: float | None = None,
    ) -> xr.Dataset:
        """Opens a group of a file as a dataset.

        Parameters
        ----------
        filename_or_obj : str, path or File
            Where the file is; see `array_format.open`.
        mask_and_scale, decode_times, concat_characters, decode_coords, drop_variables, use_cftime, decode_timedelta
            As in `xarray.open_dataset`.
        group : str, optional
            The group; the file's root unless given.
        version : int or str, optional
            An older version, by number or tag.
        options, deadline
            As in `array_format.open`.
        """
        store = ArrayFormatStore.open(filename_or_obj, group=group, version=version, options=options, deadline=deadline)
        return _dataset(
            store,
            mask_and_scale=mask_and_scale,
            decode_times=decode_times,
            concat_characters=concat_characters,
            decode_coords=decode_coords,
            drop_variables=drop_variables,
            use_cftime=use_cftime,
            decode_timedelta=decode_timedelta,
        )

    def open_groups_as_dict(
        self,
        filename_or_obj: Any,
        *,
        mask_and_scale: Any = True,
        decode_times: Any = True,
        concat_characters: Any = True,
        decode_coords: Any = True,
        drop_variables: str | Iterable[str] | None = None,
        use_cftime: Any = None,
        decode_timedelta: Any = None,
        group: str | None = None,
        version: int | str | None = None,
        options: Mapping[str, Any] | None = None,
        deadline: float | None = None,
    ) -> dict[str, xr.Dataset]:
        """Opens a group and all groups below it, each as a dataset, by their paths."""
        root = ArrayFormatStore.open(filename_or_obj, group=group, version=version, options=options, deadline=deadline)
        found = {}
        for path in root.groups_below():
            found[path] = _dataset(
                root.child(path),
                mask_and_scale=mask_and_scale,
                decode_times=decode_times,
                concat_characters=concat_characters,
                decode_coords=decode_coords,
                drop_variables=drop_variables,
                use_cftime=use_cftime,
                decode_timedelta=decode_timedelta,
            )
        return found

    def open_datatree(self, filename_or_obj: Any, **kwargs: Any) -> xr.DataTree:
        """Opens a group and all groups below it as a tree."""
        return datatree_from_dict_with_io_cleanup(self.open_groups_as_dict(filename_or_obj, **kwargs))


def _dataset(store: ArrayFormatStore, **decoding: Any) -> xr.Dataset:
    try:
        found = _xarray_decode.dataset(*store.load(), **decoding)
        found.encoding = store.get_encoding()
    except BaseException:
        store.close()
        raise
    found.set_close(store.close)
    return found


Mode = Literal["w", "w-", "x", "a", "r+"]


class _Accessor:
    """Saving, for datasets and trees."""

    def __init__(self, of: Any) -> None:
        self._of = of

    def _nodes(self) -> dict[str, xr.Dataset]:
        return {"": self._of}

    def save(
        self,
        path: str | os.PathLike[str] | File,
        mode: Mode | None = None,
        *,
        group: str | None = None,
        append_dim: Hashable | None = None,
        region: Mapping[Any, Any] | Literal["auto"] | None = None,
        encoding: Mapping[Any, Any] | None = None,
        unlimited_dims: Iterable[Hashable] | str | None = None,
        compute: bool = True,
        message: str = "",
        options: Mapping[str, Any] | None = None,
        deadline: float | None = None,
    ) -> int | PendingSave:
        """Writes to a file, as one version: all of it, or after an error nothing.

        Data of Dask is written chunk by chunk. With a client of `distributed`, its workers write, and this process commits.

        Parameters
        ----------
        path : str, path or File
            Where the file is, see `array_format.open`; or a file that is open to write: then the changes are pending in it.
        mode : str, optional
            ``"w"``, the default: what is in the group, or in the whole file, is replaced; older versions keep it. ``"x"`` or ``"w-"``:
            the file must not be there. ``"a"``: variables are added, or replaced; with `append_dim` made longer. ``"r+"``: the values of
            variables that are there are changed. ``"a"`` is the default with `append_dim`, ``"r+"`` with `region`.
        group : str, optional
            A group of the file.
        append_dim : str, optional
            The dimension along which variables are made longer.
        region : mapping of str to slice, or "auto", optional
            Where in the dimensions of the variables that are there the values go. With ``"auto"``, for one dimension or for all, that is
            found by the values of the coordinates.
        encoding : mapping, optional
            For variables by name: ``dtype``, ``_FillValue``, ``scale_factor``, ``units``, ... of xarray, and ``chunks``, ``codec``,
            ``filters`` as of `Group.create_array`. For trees, by path and name.
        unlimited_dims : list of str, optional
            Dimensions that are declared to grow.
        compute : bool
            If not, nothing is written until `compute` of what is returned.
        message : str
            What the version's history says.
        options, deadline
            As in `array_format.open`.

        Returns
        -------
        int
            The number of the version.

        Raises
        ------
        InvalidArgumentError, ValueError
            If variables and what is in the file do not go together, or chunks of Dask and of the file do not, where processes write.
        ConflictError
            If somebody else changed the same chunks meanwhile.
        """
        pending = save_tree(
            self._nodes(),
            path,
            mode or ("r+" if region is not None else "a" if append_dim is not None else "w"),
            group=group,
            append_dim=append_dim,
            region=region,
            encoding=encoding,
            unlimited_dims=unlimited_dims,
            message=message,
            settings={"options": options, "deadline": deadline},
            is_tree=isinstance(self._of, xr.DataTree),
        )
        return pending.compute() if compute else pending


class DatasetAccessor(_Accessor):
    """``dataset.array_format``."""


class DataArrayAccessor(_Accessor):
    """``dataarray.array_format``."""

    def _nodes(self) -> dict[str, xr.Dataset]:
        array = self._of
        if array.name is None:
            return {"": array.to_dataset(name="__xarray_dataarray_variable__")}
        if array.name in array.coords or array.name in array.dims:
            raise ValueError(f"a coordinate or dimension has the array's name, {array.name!r}: rename one of them")
        return {"": array.to_dataset()}


class DataTreeAccessor(_Accessor):
    """``datatree.array_format``."""

    def _nodes(self) -> dict[str, xr.Dataset]:
        root = self._of.path
        below = {node.path[len(root) :].strip("/") if root != "/" else node.path.strip("/"): node for node in self._of.subtree}
        return {path: node.to_dataset(inherit=path == "") for path, node in below.items()}


def _register() -> None:
    for register, accessor in (
        (xr.register_dataset_accessor, DatasetAccessor),
        (xr.register_dataarray_accessor, DataArrayAccessor),
        (xr.register_datatree_accessor, DataTreeAccessor),
    ):
        register("array_format")(accessor)


_register()
