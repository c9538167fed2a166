"""xarray's own suites of Zarr through `array_format.zarr.Store`, in both of Zarr's formats.

Nothing is skipped here that the suites do not skip themselves: tests of one of the two formats in the other one, of netCDF's own files
(which this environment cannot write), of unlimited dimensions, which Zarr does not have, and what they expect to fail on Zarr 3.1 with any
store (`test_roundtrip_bytes_with_fill_value`, tests of data types before Zarr's own, bad ``_Unsigned`` attributes).
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator

import pytest

pytest.importorskip("zarr")
pytest.importorskip("xarray")
pytest.importorskip("dask")

from xarray.tests.conftest import time_unit, use_dask  # noqa: F401  fixtures of the suites
from xarray.tests.test_backends import TestZarrRegionAuto as RegionAuto
from xarray.tests.test_backends import ZarrBase, default_zarr_format  # noqa: F401

from array_format.zarr import Store

_numbers = itertools.count()


@pytest.fixture(autouse=True)
def skip_if_param(request: pytest.FixtureRequest) -> None:
    """xarray's mark for tests of one format, which is defined in a file that it does not install."""
    parameters = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    for mark in request.node.iter_markers("skip_if_param"):
        if mark.kwargs["condition"]:
            for name, value in mark.kwargs.items():
                if name in parameters and parameters[name] == value:
                    pytest.skip(mark.kwargs["reason"])


@contextlib.contextmanager
def _target() -> Iterator[Store]:
    with Store(f"memory://suite-{next(_numbers)}.af") as store:
        yield store
        store.commit()
        assert store.file.verify(statistics=True).is_clean


@pytest.fixture
def tmp_store() -> Iterator[Store]:
    """In the place of the suite's own, a path."""
    with _target() as store:
        yield store


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
