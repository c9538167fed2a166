"""The same on a server of S3, where `scripts/servers.sh` has started some."""

from __future__ import annotations

import os
import uuid

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from dask.distributed import Client, LocalCluster

import array_format as af
import array_format.xarray  # noqa: F401

SERVERS = {name: os.environ.get(f"AF_TEST_{name}") for name in ("MOTO", "SEAWEEDFS")}


@pytest.fixture(params=SERVERS)
def options(request):
    endpoint = SERVERS[request.param]
    if endpoint is None:
        pytest.skip("no server: scripts/servers.sh starts them, and scripts/test.sh servers runs these tests")
    return {"endpoint": endpoint, "region": "us-east-1", "access_key_id": "test", "secret_access_key": "testtest"}


@pytest.fixture
def url():
    return f"s3://bucket/{uuid.uuid4().hex}/run.af"


def dataset() -> xr.Dataset:
    values = np.arange(4 * 6 * 8, dtype="f4").reshape(4, 6, 8)
    return xr.Dataset({"t": (("time", "y", "x"), values)}, coords={"time": np.arange(4)})


def test_datasets_on_a_store(url, options):
    assert dataset().array_format.save(url, options=options) == 1
    later = dataset().assign_coords(time=np.arange(4, 8))
    assert later.array_format.save(url, append_dim="time", options=options) == 2
    with xr.open_dataset(url, engine="array_format", options=options, chunks={}) as found:
        assert found.sizes["time"] == 8
        xr.testing.assert_identical(found.isel(time=slice(0, 4)).load(), dataset())
    with af.open(url, "r+", options=options, deadline=20) as file:
        file.compact()
        assert file.num_layers == 1
        assert file.verify(statistics=True).is_clean


def test_workers_write_one_version_to_a_store(url, options):
    source = dataset()
    source["t"] = source["t"].copy(data=da.from_array(source["t"].values, chunks=(1, 6, 8)))
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster):
        assert source.array_format.save(url, options=options) == 1
        with xr.open_dataset(url, engine="array_format", options=options, chunks={}) as found:
            assert float(found["t"].sum()) == float(dataset()["t"].sum())
    with af.open(url, "r+", options=options) as file:
        assert [v.cause for v in file.versions()] == ["create", "commit"]
        assert file.verify().is_clean


def test_requests_are_counted(url, options):
    dataset().array_format.save(url, options=options)
    with af.open(url, options=options) as file:
        opened = file.counters["requests"]
        assert opened <= 4
        file["t"][0, 0, 0]
        assert file.counters["requests"] - opened <= 3


def test_a_store_that_is_not_there_is_told_in_time(options):
    with pytest.raises(af.UnavailableError):
        af.open("s3://bucket/x.af", options=options | {"endpoint": "http://127.0.0.1:9"}, deadline=1)
    if options["endpoint"] == SERVERS["MOTO"]:
        return  # which takes any credentials
    with pytest.raises(af.PermissionDeniedError):
        af.open("s3://bucket/x.af", "w", options=options | {"secret_access_key": "wrong"}, deadline=5)
