"""CF conventions: by xarray's own machinery, for the variables that they concern."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from xarray import conventions

_TOGETHER = frozenset(
    "ancillary_variables bounds cell_measures climatology coordinates formula_terms geometry grid_mapping interior_ring node_coordinates "
    "node_count nodes part_node_count".split()
)
"""Attributes that name other variables: where there is one, xarray has to see all variables at once."""

_ALONE = frozenset("_FillValue _Unsigned _Encoding add_offset calendar dtype missing_value scale_factor".split())
"""Attributes that say how the values of their own variable are encoded."""

_TIMES = ("day", "hour", "minute", "second", "milli", "micro", "nano", "since", "week")


def dataset(
    variables: Mapping[str, xr.Variable], attributes: Mapping[str, Any], drop_variables: str | Iterable[str] | None, **decoding: Any
) -> xr.Dataset:
    """A dataset without indexes, which xarray makes.

    Most variables of most files mean what they are. They do not go through the decoders, which would find nothing to do: of the time
    that opening a file of a thousand variables takes, that is the half.
    """
    dropped = {drop_variables} if isinstance(drop_variables, str) else set(drop_variables or ())
    variables = {name: v for name, v in variables.items() if name not in dropped}
    concern = {name: v for name, v in variables.items() if not _is_plain(v, decoding)}
    if any(_is_of_others(v) for v in concern.values()) or not attributes.keys().isdisjoint(_TOGETHER):
        concern = variables
    coordinates: set[Any] = set()
    if concern:
        decoded, attributes, coordinates = conventions.decode_cf_variables(concern, dict(attributes), **decoding)
        variables = {name: decoded.get(name, v) for name, v in variables.items()} if concern is not variables else decoded
    return _put_together(variables, coordinates, dict(attributes))


def _put_together(variables: Mapping[str, xr.Variable], coordinates: set[Any], attributes: dict[str, Any]) -> xr.Dataset:
    direct = getattr(xr.Dataset, "_construct_direct", None)
    dims: dict[Any, int] = {}
    for variable in variables.values():
        for dim, length in zip(variable.dims, variable.shape, strict=True):
            if dims.setdefault(dim, length) != length:
                direct = None  # whose lengths differ: xarray's own error says it best
    coordinates = {name for name in variables if name in coordinates or name in dims}
    if direct is None:
        data = {name: v for name, v in variables.items() if name not in coordinates}
        coords = {name: v for name, v in variables.items() if name in coordinates}
        return xr.Dataset(data, coords=xr.Coordinates(coords, indexes={}), attrs=attributes)
    # What the public constructor makes of variables that nobody else has, without looking for what it could merge.
    return direct(dict(variables), coordinates, dims=dims, attrs=attributes, indexes={})


def _is_of_others(variable: xr.Variable) -> bool:
    return variable.dtype.kind == "S" or not variable.attrs.keys().isdisjoint(_TOGETHER)


def _is_plain(variable: xr.Variable, decoding: Mapping[str, Any]) -> bool:
    """Whether the decoders would leave a variable as it is; one whose fill value is NaN is made so."""
    attributes = variable.attrs
    if variable.dtype.kind not in "biufc" or not attributes.keys().isdisjoint(_TOGETHER):
        return False
    units = attributes.get("units")
    if units is not None and (not isinstance(units, str) or any(word in units.lower() for word in _TIMES)):
        return False
    said = _ALONE & attributes.keys()
    if said == {"_FillValue"} and decoding["mask_and_scale"] is True:
        fill = attributes["_FillValue"]
        if variable.dtype.kind == "f" and isinstance(fill, float | np.floating) and np.isnan(fill):
            # What is missing is NaN already.
            variable.encoding["_FillValue"] = attributes.pop("_FillValue")
            return True
    return not said
