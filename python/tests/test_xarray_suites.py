"""xarray's own suites of tests, against the engine."""

from __future__ import annotations

import contextlib
import os
import tempfile

import pytest
import xarray as xr
from xarray.backends.file_manager import DummyFileManager
from xarray.tests.conftest import time_unit, use_dask  # noqa: F401  fixtures of the suite
from xarray.tests.test_backends import CFEncodedBase

import array_format as af
import array_format.xarray  # noqa: F401
from array_format._xarray_store import ArrayFormatStore

ENGINE = "array_format"


class TestEngine(CFEncodedBase):
    """`CFEncodedBase`, with `DatasetIOBase`, which it extends."""

    engine = ENGINE
    file_format = "NETCDF4"  # types as netCDF-4 has them: else its tests of unsigned bytes skip themselves

    @contextlib.contextmanager
    def create_store(self):
        with tempfile.TemporaryDirectory() as folder, af.open(os.path.join(folder, "store.af"), "w") as file:
            yield ArrayFormatStore(DummyFileManager(file), "")

    def save(self, dataset, path, **kwargs):
        return dataset.array_format.save(path, **kwargs)

    @contextlib.contextmanager
    def open(self, path, **kwargs):
        with xr.open_dataset(path, engine=self.engine, **kwargs) as ds:
            yield ds
