"""xarray's own suites of Zarr through `array_format.zarr.Store`, in both of Zarr's formats."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("zarr")
pytest.importorskip("xarray")
pytest.importorskip("dask")

from xarray.tests.test_backends import TestZarrRegionAuto as RegionAuto
from xarray.tests.test_backends import ZarrBase, default_zarr_format  # noqa: F401

from array_format.zarr import Store

_numbers = itertools.count()


@contextlib.contextmanager
def _target() -> Iterator[Store]:
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "target.af") as store:
        yield store
        store.commit()
        assert store.file.verify(statistics=True).is_clean


class TestZarrThroughStore(ZarrBase):
    @contextlib.contextmanager
    def create_zarr_target(self) -> Iterator[Store]:
        with _target() as store:
            yield store


class TestZarrRegionAutoThroughStore(RegionAuto):
    @contextlib.contextmanager
    def create_zarr_target(self) -> Iterator[Store]:
        with _target() as store:
            yield store
