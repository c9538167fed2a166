"""Dask: threads, processes, and clusters whose workers die."""

from __future__ import annotations

import os
import signal
import threading

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from dask.distributed import Client, LocalCluster

import array_format as af
import array_format.dask
import array_format.xarray  # noqa: F401


@pytest.fixture(scope="module")
def client():
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster, Client(cluster) as client:
        yield client


def field(shape=(8, 12, 16), chunks=(2, 6, 8)):
    return da.from_array(np.arange(np.prod(shape), dtype="f4").reshape(shape), chunks=chunks)


def dataset(**kwargs):
    return xr.Dataset({"t": (("time", "y", "x"), field(**kwargs), {"units": "K"})}, coords={"time": np.arange(8)})


def layers(path):
    folder = f"{path}.layers"
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


@pytest.mark.parametrize("scheduler", ["threads", "synchronous", "processes"])
def test_every_scheduler_writes_one_version(path, scheduler):
    with dask.config.set(scheduler=scheduler):
        assert dataset().array_format.save(path) == 1
    with xr.open_dataset(path, chunks={}) as found:
        assert found["t"].chunks == dataset()["t"].chunks
        xr.testing.assert_identical(found.load(), dataset().load())
    with af.open(path) as file:
        assert file.verify(statistics=True).is_clean
        assert [v.cause for v in file.versions()] == ["create", "commit"]


def test_workers_write_and_the_client_commits(path, client):
    assert dataset().array_format.save(path) == 1
    with af.open(path, "r+") as file:
        assert file.num_layers <= 3, "a layer for each worker, and the commit"
        np.testing.assert_array_equal(file["t"][...], field().compute())
        assert file.verify(statistics=True).is_clean
        file.compact()
        assert not layers(path)


def test_workers_replace_what_is_there(path, client):
    dataset().array_format.save(path)
    other = dataset(chunks=(4, 12, 4)) + 1
    assert other.array_format.save(path, mode="w") == 2
    with xr.open_dataset(path) as now, xr.open_dataset(path, version=1) as before:
        xr.testing.assert_equal(now.load(), other.load())
        xr.testing.assert_equal(before.load(), dataset().load())
    with af.open(path) as file:
        assert list(file) == ["t", "time"]
        assert file["t"].chunks == (4, 12, 4)


def test_workers_append_and_write_regions(path, client):
    dataset().array_format.save(path)
    later = dataset().assign_coords(time=np.arange(8, 16))
    later.array_format.save(path, append_dim="time")
    (dataset() * 0).isel(time=slice(4, 8)).drop_vars("time").array_format.save(path, region={"time": slice(4, 8)})
    with xr.open_dataset(path) as found:
        assert found.sizes["time"] == 16
        np.testing.assert_array_equal(found["time"], np.arange(16))
        expected = np.concatenate([field(), field()])
        expected[4:8] = 0
        np.testing.assert_array_equal(found["t"], expected)


def test_workers_never_share_a_chunk(path, client):
    with pytest.raises(af.InvalidArgumentError, match="Rechunk"):
        dataset().array_format.save(path, encoding={"t": {"chunks": (4, 12, 16)}})
    dataset().array_format.save(path, mode="w")
    with pytest.raises(af.InvalidArgumentError, match="Rechunk"):
        dataset(chunks=(3, 6, 8)).drop_vars("time").array_format.save(path, region={"time": slice(0, 8)})
    with af.open(path) as file:
        assert file.version == 1


def fails(block, block_info=None):
    if block_info[0]["chunk-location"] == (1, 1, 1):
        raise RuntimeError("a task that fails")
    return block


def test_a_task_that_fails_leaves_nothing(path, client):
    dataset().array_format.save(path)
    broken = dataset(chunks=(4, 6, 8))
    broken["t"] = broken["t"].copy(data=broken["t"].data.map_blocks(fails, dtype="f4"))
    with pytest.raises(RuntimeError, match="a task that fails"):
        broken.array_format.save(path, mode="w")
    with xr.open_dataset(path) as found, af.open(path, "r+") as file:
        xr.testing.assert_identical(found.load(), dataset().load())
        assert file.version == 1
        file.gc()
        assert file.verify().is_clean


def test_files_arrays_and_datasets_go_to_workers(path, client):
    dataset().array_format.save(path)
    with af.open(path) as file:
        array = file["t"]
        assert client.submit(lambda a: float(a[...].sum()), array).result() == float(field().sum())
        total = af.dask.from_array(array, chunks=(4, 6, 8)).sum().compute()
        assert total == float(field().sum())
    with xr.open_dataset(path, chunks={}) as found:
        assert float(found["t"].sum()) == float(field().sum())


def test_readers_on_workers_see_one_version(path, client):
    dataset().array_format.save(path)
    with xr.open_dataset(path, chunks={}) as found:
        (dataset() * 0).array_format.save(path, mode="w")
        assert float(found["t"].sum()) == float(field().sum())


def dies(block, marker):
    """Kills its worker the first time."""
    if block.size and not os.path.exists(marker):
        open(marker, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return block


def test_what_a_dead_worker_took_along_is_computed_again(path, tmp_path):
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster):
        source = dataset()
        source["t"] = source["t"].copy(data=source["t"].data.map_blocks(dies, marker=str(tmp_path / "died"), dtype="f4"))
        assert source.array_format.save(path) == 1
    with xr.open_dataset(path) as found:
        xr.testing.assert_identical(found.load(), dataset().load())


def finished_and_died(session):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_dies_with_what_it_wrote_is_made_up_for(path, monkeypatch):
    collect, killed = af.dask._collect, []

    def kill_one_first(client, session, receipts):
        if not killed:
            killed.append(next(iter(client.scheduler_info()["workers"])))
            client.run(finished_and_died, session, workers=killed, on_error="ignore")
        return collect(client, session, receipts)

    monkeypatch.setattr(af.dask, "_collect", kill_one_first)
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster):
        assert dataset().array_format.save(path) == 1
    assert killed
    with xr.open_dataset(path) as found:
        xr.testing.assert_identical(found.load(), dataset().load())


KILLS = int(os.environ.get("AF_DASK_KILLS", "3"))


def _save_while_one_is_killed(path, number, rng):
    # A cluster a write: distributed starts a killed worker again, but gives up one that is killed while it starts, and who waits for
    # that one waits for ever.
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        client.run(__import__, "array_format.xarray")  # else most would be killed while they import
        victim = int(rng.choice([worker.pid for worker in cluster.workers.values()]))
        killer = threading.Timer(float(rng.uniform(0, 0.4)), os.kill, (victim, signal.SIGKILL))
        with af.open(path) as file:
            before = file.version
        killer.start()
        try:
            saved = (dataset() + number).array_format.save(path, mode="w")
        except (af.ArrayFormatError, RuntimeError, OSError):
            saved = None
        killer.join()
    with af.open(path) as file:
        assert file.version == (before if saved is None else before + 1)
        values = file["t"][...] - field().compute()
        assert (values == values.flat[0]).all(), "half of a version"
        assert saved is None or values.flat[0] == number


def test_workers_killed_at_random_leave_a_whole_version_or_none(path):
    """`AF_DASK_KILLS` writes (20 in the long form), in each of which a worker is killed at some moment."""
    rng = np.random.default_rng(7)
    dataset().array_format.save(path)
    for i in range(KILLS):
        _save_while_one_is_killed(path, i + 1, rng)
    with af.open(path, "r+") as file:
        file.gc()
        file.compact()
        assert file.verify(statistics=True).is_clean
    assert not layers(path)


