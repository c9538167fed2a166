"""Saving datasets and trees as one version of a file."""

from __future__ import annotations

import os
import uuid
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from xarray import conventions
from xarray.backends.file_manager import DummyFileManager
from xarray.backends.writers import _sanitize_unlimited_dims, _validate_dataset_names, dump_to_store

from ._array import Array
from ._file import File
from ._file import open as open_file
from ._xarray_store import ArrayFormatStore
from .errors import InvalidArgumentError, NotFoundError

STAGING = "array_format.new-"
"""Names of groups in which other processes make arrays that replace some of the same name, until the commit."""


class PendingSave:
    """A save that has not been done yet."""

    def __init__(self, nodes: Mapping[str, xr.Dataset], path: Any, **arguments: Any) -> None:
        self._nodes, self._path, self._arguments = nodes, path, arguments

    def compute(self) -> int:
        """Does it, and returns the number of the version."""
        return _save(self._nodes, self._path, **self._arguments)

    def __repr__(self) -> str:
        return f"PendingSave({self._path!r}, {len(self._nodes)} groups): say compute()"


class Writer:
    """Collects where data goes; what Dask has to compute is written together."""

    def __init__(self) -> None:
        self.sources: list[Any] = []
        self.targets: list[Array] = []
        self.regions: list[tuple[slice, ...]] = []

    def add(self, source: Any, target: Array, region: tuple[slice, ...] | None = None) -> None:
        """Writes data, or remembers to do it; `region` has a slice with start and stop for each axis."""
        region = region if region is not None else tuple(slice(0, n) for n in target.shape)
        if hasattr(source, "dask"):
            self.sources.append(source)
            self.targets.append(target)
            self.regions.append(region)
        elif target.ndim == 0:
            target[...] = np.asarray(source, object) if target._type.is_variable else source
        else:
            target[region] = np.asarray(source)

    def sync(self) -> None:
        """Writes what Dask computes."""
        if self.sources:
            from .dask import store

            store(self.sources, self.targets, self.regions)


def save_tree(nodes: Mapping[str, xr.Dataset], path: Any, mode: str, **arguments: Any) -> PendingSave:
    """A save, checked as far as that is possible without the file."""
    if mode not in ("w", "w-", "x", "a", "r+"):
        raise InvalidArgumentError(f"mode {mode!r}: say 'w', 'x', 'w-', 'a' or 'r+'")
    region, append_dim = arguments["region"], arguments["append_dim"]
    if arguments["is_tree"] and (region is not None or append_dim is not None):
        raise InvalidArgumentError("regions and append_dim are for datasets: save the nodes of the tree one by one")
    if region is not None and mode not in ("a", "r+"):
        raise InvalidArgumentError(f"a region is of variables that are there: mode 'r+', not {mode!r}")
    if append_dim is not None and mode not in ("a", "r+"):
        raise InvalidArgumentError(f"append_dim needs mode 'a', not {mode!r}")
    if arguments["is_tree"]:
        unknown = [g for g in arguments["encoding"] or {} if g.strip("/") not in nodes]
        if unknown:
            raise InvalidArgumentError(f"unexpected encoding group {unknown}: groups are {['/' + n for n in nodes]}")
    for dataset in nodes.values():
        _check(dataset, append_dim)
    return PendingSave(nodes, path, mode=mode, **arguments)


def _check(dataset: xr.Dataset, append_dim: Hashable | None) -> None:
    _validate_dataset_names(dataset)
    for name in dataset.variables:
        if "/" in str(name):
            raise InvalidArgumentError(f"a variable is named {name!r}: in a file, / is between groups; save a DataTree")
    if append_dim is not None and append_dim not in dataset.dims:
        raise InvalidArgumentError(f"append_dim={append_dim!r} is no dimension of the dataset: {sorted(map(str, dataset.dims))}")


def _save(nodes: Mapping[str, xr.Dataset], path: Any, *, mode: str, message: str, settings: dict[str, Any], **arguments: Any) -> int:
    if isinstance(path, File):
        _write(nodes, path, mode, **arguments)
        return path.version
    with open_file(os.fspath(path), {"w": "a", "w-": "x"}.get(mode, mode), **settings) as file:
        with file.transaction(message):
            _write(nodes, file, mode, **arguments)
        return file.version


def _write(
    nodes: Mapping[str, xr.Dataset],
    file: File,
    mode: str,
    *,
    group: str | None,
    append_dim: Hashable | None,
    region: Any,
    encoding: Mapping[Any, Any] | None,
    unlimited_dims: Any,
    is_tree: bool,
) -> None:
    root = (group or "").strip("/")
    if mode == "r+" and root not in file:
        raise NotFoundError(f"there is no group {root!r} in {file.url}", file=file.url, array=root)
    staging = STAGING + uuid.uuid4().hex if _others_compute(nodes) else None
    writer, renames = Writer(), []
    for name, dataset in nodes.items():
        at = "/".join(p for p in (root, name.strip("/")) if p)
        file.require_group(at)
        store = ArrayFormatStore(DummyFileManager(file), at, staging)
        if mode == "w":
            store.begin_anew(delete=not name)
        of_node = dict((encoding or {}).get(f"/{name}", (encoding or {}).get(name, {})) if is_tree else encoding or {})
        if append_dim is not None or region is not None:
            extend(store, dataset, writer, append_dim, region, of_node)
        else:
            if mode == "r+":
                _check_existing(store, dataset)
            dump_to_store(dataset, store, writer, encoding=of_node, unlimited_dims=_unlimited(dataset, unlimited_dims, is_tree))
        renames += store.renames
    writer.sync()
    for staged, final in renames:
        if file._handle.contains(final):
            file._writable().delete(final)
        file.rename(staged, final)


def _others_compute(nodes: Mapping[str, xr.Dataset]) -> bool:
    chunked = [v.data for dataset in nodes.values() for v in dataset.variables.values() if v.chunks is not None]
    if not chunked:
        return False
    from .dask import others_compute

    return others_compute(chunked)


def _unlimited(dataset: xr.Dataset, given: Any, is_tree: bool) -> set[Any]:
    if is_tree and given is not None:
        given = {d for d in ({given} if isinstance(given, str) else given) if d in dataset.dims}
    return set(_sanitize_unlimited_dims(dataset, given) or ()) & set(dataset.dims)


def _check_existing(store: ArrayFormatStore, dataset: xr.Dataset) -> None:
    new = [name for name in dataset.variables if str(name) not in store.node.arrays()]
    if new:
        raise InvalidArgumentError(f"mode 'r+' changes what is there, and {new} are not: say mode 'a'")


def extend(
    store: ArrayFormatStore, dataset: xr.Dataset, writer: Writer, append_dim: Hashable | None, region: Any, encoding: Mapping[Any, Any]
) -> None:
    """Writes to a part of variables that are there, or makes them longer; encoded as they are."""
    existing = xr.decode_cf(store)
    if region is not None:
        found = _region(existing, dataset, region, append_dim)
        dataset = dataset.drop_vars(dataset.indexes)
    else:
        found = {}
    if named := [name for name in encoding if name in existing.variables]:
        raise InvalidArgumentError(f"{named} are there, and encoded already: no encoding can be given")
    if new := [name for name in dataset.variables if name not in existing.variables]:
        raise InvalidArgumentError(f"{new} are not in {store.file.url}: there is nothing to extend; save them with mode 'a' alone")
    variables, attributes = conventions.encode_dataset_coordinates(dataset)
    for name, variable in variables.items():
        variable = variable.copy(deep=False)
        variable.encoding = {k: v for k, v in existing[name].encoding.items() if k not in ("preferred_chunks", "original_shape")}
        variables[name] = variable
    variables, attributes = store.encode(variables, attributes)
    before = store.get_dimensions()
    for name, variable in variables.items():
        array = store.node[str(name)]
        _check_fits(str(name), variable, array, found, append_dim)
        at = dict(found)
        if append_dim in variable.dims:
            start = before[str(append_dim)]
            at[append_dim] = slice(start, start + variable.sizes[append_dim])
            array.resize([at[d].stop if d == append_dim else n for d, n in zip(array.dims, array.shape, strict=True)])
        place = tuple(at.get(d, slice(0, n)) for d, n in zip(array.dims, array.shape, strict=True))
        writer.add(variable.data, array, place)
    if append_dim is not None:
        declared = store.node.dims
        if str(append_dim) in declared:
            length, unlimited = before[str(append_dim)] + dataset.sizes[append_dim], str(append_dim) in store.node.unlimited_dims
            store.node.create_dimension(str(append_dim), length, unlimited=unlimited)
        store.set_attributes(attributes)


def _check_fits(name: str, variable: xr.Variable, array: Array, region: Mapping[Any, slice], append_dim: Hashable | None) -> None:
    if tuple(map(str, variable.dims)) != array.dims:
        raise InvalidArgumentError(f"{name!r} has the dimensions {array.dims} in the file, and {variable.dims} here", array=array.path)
    for dim, there in zip(array.dims, array.shape, strict=True):
        here = variable.sizes[dim]
        wanted = region[dim].stop - region[dim].start if dim in region else here if dim == append_dim else there
        if here != wanted:
            raise InvalidArgumentError(f"{name!r} has length {here} in {dim!r}, where {wanted} is needed", array=array.path)


def _region(existing: xr.Dataset, dataset: xr.Dataset, region: Any, append_dim: Hashable | None) -> dict[Hashable, slice]:
    """Slices with a start and a stop."""
    region = dict.fromkeys(dataset.dims, "auto") if region == "auto" else region
    if not isinstance(region, Mapping):
        raise TypeError(f"region must be a mapping of dimensions to slices, or 'auto', not {type(region).__name__}")
    found = {}
    for dim, part in region.items():
        if dim not in dataset.dims:
            raise InvalidArgumentError(f"region has {dim!r}, which is no dimension of the dataset: {sorted(map(str, dataset.dims))}")
        if dim == append_dim:
            raise InvalidArgumentError(f"{dim!r} is both in region and append_dim")
        if isinstance(part, str) and part == "auto":
            part = _auto(existing, dataset, dim)
        if not isinstance(part, slice):
            raise TypeError(f"region[{dim!r}] must be a slice or 'auto', not {type(part).__name__}")
        start, stop, step = part.indices(existing.sizes[dim])
        if step != 1:
            raise InvalidArgumentError(f"region[{dim!r}] has a step of {step}: only 1 is possible")
        if part.stop is not None and part.stop > existing.sizes[dim]:
            raise InvalidArgumentError(f"region[{dim!r}] ends at {part.stop}, and the file at {existing.sizes[dim]}")
        found[dim] = slice(start, stop)
    apart = [name for name, v in dataset.variables.items() if not set(found) & set(v.dims)]
    if found and apart:
        raise InvalidArgumentError(
            f"variables without a dimension of the region would be written whole; leave them out: .drop_vars({sorted(map(str, apart))})"
        )
    return found


def _auto(existing: xr.Dataset, dataset: xr.Dataset, dim: Hashable) -> slice:
    """Where the values of a coordinate are in the file's."""
    if dim not in existing.indexes or dim not in dataset.indexes:
        if dataset.sizes[dim] == existing.sizes.get(dim):
            return slice(0, dataset.sizes[dim])
        raise KeyError(f"region='auto' needs a coordinate {dim!r} here and in the file")
    places = existing.indexes[dim].get_indexer(dataset.indexes[dim])
    if (places < 0).any():
        raise KeyError(f"not all values of coordinate {dim!r} are in the file: a region changes no dimension; see append_dim")
    if places.size and (np.diff(places) != 1).any():
        raise InvalidArgumentError(f"the values of coordinate {dim!r} are not next to each other in the file")
    return slice(int(places[0]), int(places[-1]) + 1) if places.size else slice(0, 0)
