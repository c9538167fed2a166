"""Many n-dimensional arrays in one file: atomic versions, readable in one or two requests from any object store.

>>> import array_format as af
>>> import numpy as np
>>> with af.open("memory://tour.af", "w") as file:
...     file.create_array("cruise/temperature", np.array([18.5, 12.0], "f4"), dims=("depth",), attrs={"units": "degC"})
<array_format.Array 'cruise/temperature' float32 (depth: 2)>
>>> file = af.open("memory://tour.af")
>>> file["cruise/temperature"][:1]
array([18.5], dtype=float32)

`open` gives a `File`, which is a mapping of arrays and groups. With xarray installed, ``xarray.open_dataset("ocean.af")`` works, and
``dataset.array_format.save("ocean.af")`` writes; `array_format.zarr` has a store for Zarr, `array_format.dask` what clusters need.
"""

import sys

from . import errors
from ._array import Array, ChunkStatistics
from ._attributes import Attributes
from ._cache import set_cache, sync_cache
from ._columns import Table
from ._core import VERSION as __version__
from ._file import Change, DamageReport, File, GcReport, Usage, Version, open
from ._group import Group
from ._statistics import Statistics
from .errors import (
    AlreadyExistsError,
    ArrayFormatError,
    ConflictError,
    CorruptError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    SnapshotExpiredError,
    UnavailableError,
    UnsupportedError,
)

__all__ = [
    "AlreadyExistsError",
    "Array",
    "ArrayFormatError",
    "Attributes",
    "Change",
    "ChunkStatistics",
    "ConflictError",
    "CorruptError",
    "DamageReport",
    "File",
    "GcReport",
    "Group",
    "InvalidArgumentError",
    "NotFoundError",
    "PermissionDeniedError",
    "SnapshotExpiredError",
    "Statistics",
    "Table",
    "UnavailableError",
    "UnsupportedError",
    "Usage",
    "Version",
    "__version__",
    "errors",
    "open",
    "set_cache",
    "sync_cache",
]

if "xarray" in sys.modules:  # its accessor is wanted by whoever has imported it
    from . import xarray as _xarray  # noqa: F401
