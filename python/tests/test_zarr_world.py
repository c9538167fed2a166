"""Others who write Zarr, through the store: Dask with threads and with processes, anndata, xarray."""

from __future__ import annotations

import numpy as np
import pytest

zarr = pytest.importorskip("zarr")

import array_format as af
from array_format.zarr import Store

pytestmark = pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not", "ignore::FutureWarning", "ignore::UserWarning")


def test_dask_with_threads(path: str) -> None:
    da = pytest.importorskip("dask.array")
    values = np.random.default_rng(1).random((50, 40))
    with Store(path) as store:
        da.from_array(values, chunks=(16, 16)).to_zarr(store, component="g/x")
        da.from_array(values, chunks=(25, 20)).to_zarr(store, component="g/y", compressors=None)
    assert af.open(path)["g/x"].chunks == (16, 16) and af.open(path).version <= 3  # Dask pickles what it writes to, for its name
    for name in ("g/x", "g/y"):
        assert np.array_equal(af.open(path)[name][...], values)
        lazy = da.from_zarr(Store(path, read_only=True), component=name)
        assert np.array_equal(lazy.compute(), values) and lazy.sum().compute() == pytest.approx(values.sum())
    assert af.open(path).verify(statistics=True).is_clean


def test_dask_with_processes(path: str) -> None:
    da, distributed = pytest.importorskip("dask.array"), pytest.importorskip("distributed")
    values = np.random.default_rng(2).random((48, 40))
    with distributed.LocalCluster(2, processes=True, threads_per_worker=2, dashboard_address=None) as cluster, distributed.Client(cluster):
        store = Store(path)
        da.from_array(values, chunks=(8, 16)).to_zarr(store, component="x")
        lazy = da.from_zarr(store, component="x")
        assert np.array_equal(lazy.compute(), values)
        assert np.array_equal(zarr.open_array(store, path="x")[...], values)
    assert np.array_equal(af.open(path)["x"][...], values)
    assert af.open(path).verify(statistics=True).is_clean


def test_anndata(path: str) -> None:
    ad, sparse = pytest.importorskip("anndata"), pytest.importorskip("scipy.sparse")
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(3)
    counts = sparse.random(30, 20, 0.2, "csr", np.float32, rng)
    obs = pd.DataFrame({"kind": pd.Categorical(["a", "b", "a"] * 10), "n": np.arange(30), "maybe": pd.array([1, None, 3] * 10, "Int64")})
    obs.index = [f"cell{i}" for i in range(30)]
    data = ad.AnnData(counts, obs=obs, var=pd.DataFrame({"name": [f"g{i}" for i in range(20)]}, index=[str(i) for i in range(20)]))
    data.obsm["pca"], data.layers["dense"] = rng.random((30, 4)), rng.random((30, 20))
    data.uns["settings"] = {"text": "x", "numbers": np.arange(3), "flag": True}
    with Store(path) as store:
        data.write_zarr(store)
    found = ad.read_zarr(Store(path, read_only=True))
    assert (found.X != counts).nnz == 0 and np.array_equal(found.obsm["pca"], data.obsm["pca"])
    pd.testing.assert_frame_equal(found.obs, data.obs)
    pd.testing.assert_frame_equal(found.var, data.var)
    assert found.uns["settings"]["text"] == "x" and found.uns["settings"]["numbers"].tolist() == [0, 1, 2]
    file = af.open(path)
    assert np.array_equal(file["obsm/pca"][...], data.obsm["pca"]) and np.array_equal(file["X/data"][...], counts.data)
    assert file["obs"].attrs["encoding-type"] == "dataframe"
    assert file.verify(statistics=True).is_clean


def test_a_data_set_that_nobody_closes_is_there(path: str) -> None:
    xr = pytest.importorskip("xarray")
    data = xr.Dataset({"t": (("time", "x"), np.arange(6.0).reshape(3, 2))}, {"time": np.array(["2024-01-01", "2024-01-02", "2024-01-03"], "M8[ns]")})
    data.to_zarr(Store(path))
    assert xr.open_zarr(Store(path, read_only=True)).identical(data)
    found = af.open(path)
    assert found["t"].dims == ("time", "x") and found["t"][...].tolist() == [[0, 1], [2, 3], [4, 5]]
