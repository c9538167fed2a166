"""A store for Zarr over a file of arrays.

>>> import zarr
>>> from array_format.zarr import Store
>>> root = zarr.open_group(Store("ocean.af"), mode="a")  # doctest: +SKIP

Any file opens, whoever made it; and what Zarr writes are arrays of the file, which every other part of this package, the command ``af``
and the Rust library read. See `Store` for what is kept how, and for when changes become durable.
"""

from ._store import Store

__all__ = ["Store"]
