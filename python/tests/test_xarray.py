"""The engine for xarray: saving whole, in parts, by modes; what only this engine can do."""

from __future__ import annotations

import os

import numpy as np
import pytest
import xarray as xr

import array_format as af
import array_format.xarray  # noqa: F401


def dataset(days: int = 4) -> xr.Dataset:
    time = np.datetime64("2020-01-01") + np.arange(days).astype("m8[D]")
    return xr.Dataset(
        {"sst": (("time", "lat"), np.arange(days * 3, dtype="f4").reshape(days, 3), {"units": "degC"})},
        coords={"time": time.astype("M8[ns]"), "lat": [-10.0, 0.0, 10.0]},
        attrs={"title": "a test", "levels": np.array([1, 2])},
    )


def test_engine_is_found_by_the_name_of_the_file(path):
    dataset().array_format.save(path)
    with xr.open_dataset(path) as found:
        xr.testing.assert_identical(found, dataset())
    assert "array_format" in xr.backends.list_engines()
    with af.open(path) as file, xr.open_dataset(file) as found:
        xr.testing.assert_identical(found.load(), dataset())


def test_a_save_is_one_version_and_the_one_before_stays(path):
    assert dataset().array_format.save(path, message="first") == 1
    assert (dataset() + 1).array_format.save(path) == 2
    with xr.open_dataset(path, version=1) as before, xr.open_dataset(path) as now:
        xr.testing.assert_equal(before + 1, now)
    with af.open(path) as file:
        assert [v.message for v in file.versions()] == ["", "first", ""]


def test_a_dataset_can_be_saved_where_it_was_opened(path):
    dataset().array_format.save(path)
    with xr.open_dataset(path) as found:
        (found * 2).array_format.save(path)
        xr.testing.assert_identical(found.load(), dataset())
    with xr.open_dataset(path) as now:
        xr.testing.assert_equal(now, dataset() * 2)


def test_w_replaces_a_group_and_leaves_others(path):
    dataset().array_format.save(path, group="a")
    dataset().array_format.save(path, group="b/c")
    (dataset() + 1)[["sst"]].drop_vars("lat").array_format.save(path, mode="w", group="a")
    with xr.open_dataset(path, group="a") as a, xr.open_dataset(path, group="/b/c") as c:
        assert set(a.variables) == {"sst", "time"}
        xr.testing.assert_identical(c, dataset())


def test_x_needs_a_place_that_is_free_and_r_plus_one_that_is_not(path):
    with pytest.raises(FileNotFoundError):
        dataset().array_format.save(path, mode="r+")
    dataset().array_format.save(path, mode="x")
    with pytest.raises(FileExistsError):
        dataset().array_format.save(path, mode="w-")
    with pytest.raises(ValueError, match="say mode 'a'"):
        dataset().rename(sst="other").array_format.save(path, mode="r+")
    (dataset() + 1).array_format.save(path, mode="r+")
    with xr.open_dataset(path) as found:
        xr.testing.assert_equal(found, dataset() + 1)


def test_an_error_leaves_the_file_as_it_was(path):
    dataset().array_format.save(path)
    broken = dataset().assign(bad=("lat", np.array([1, "a", None], object)))
    with pytest.raises(Exception):  # noqa: B017  xarray's own errors of many types
        broken.array_format.save(path)
    with af.open(path) as file:
        assert file.version == 1
        assert list(file) == ["lat", "sst", "time"]


@pytest.mark.parametrize("chunked", [False, True])
def test_append_encodes_like_what_is_there(path, chunked):
    whole = dataset(7)
    first, rest = whole.isel(time=slice(0, 4)), whole.isel(time=slice(4, 7))
    first.array_format.save(path, encoding={"sst": {"dtype": "i2", "scale_factor": 0.5, "_FillValue": -1, "chunks": (3, 3)}}, unlimited_dims=["time"])
    (rest.chunk(time=2) if chunked else rest).array_format.save(path, append_dim="time")
    with xr.open_dataset(path) as found:
        xr.testing.assert_identical(found, whole)
        assert found["sst"].encoding["dtype"] == np.int16
        assert found.encoding["unlimited_dims"] == {"time"}
    with af.open(path) as file:
        assert file.version == 2
        assert file.dims["time"] == 7


def test_append_refuses_what_does_not_fit(path):
    dataset().array_format.save(path)
    with pytest.raises(ValueError, match="no dimension"):
        dataset().array_format.save(path, append_dim="depth")
    with pytest.raises(ValueError, match="length 2 in 'lat'"):
        dataset().isel(lat=slice(0, 2)).array_format.save(path, append_dim="time")
    with pytest.raises(ValueError, match="not in"):
        dataset().assign(new=("time", np.zeros(4))).array_format.save(path, append_dim="time")
    with pytest.raises(ValueError, match="encoded already"):
        dataset().array_format.save(path, append_dim="time", encoding={"sst": {"dtype": "f8"}})
    with af.open(path) as file:
        assert file.version == 1


def test_regions_by_slices_and_by_coordinates(path):
    dataset(6).array_format.save(path)
    part = dataset(6).isel(time=slice(2, 4)) * 0 - 1
    part.array_format.save(path, region="auto")
    part.isel(time=[0], lat=[1]).array_format.save(path, region={"time": slice(0, 1), "lat": "auto"})
    expected = dataset(6)["sst"].values.copy()
    expected[2:4] = -1
    expected[0, 1] = -1
    with xr.open_dataset(path) as found:
        np.testing.assert_array_equal(found["sst"], expected)


@pytest.mark.parametrize(
    ("region", "match"),
    [
        ({"depth": slice(0, 1)}, "no dimension"),
        ({"time": slice(0, 4, 2)}, "step"),
        ({"time": slice(0, 3)}, "length 4"),
        ({"time": slice(2, 9)}, "ends at 9"),
        ({"time": [0, 1]}, "must be a slice"),
    ],
)
def test_regions_that_are_none(path, region, match):
    dataset().array_format.save(path)
    with pytest.raises((ValueError, TypeError), match=match):
        dataset()[["sst"]].drop_vars("lat").array_format.save(path, region=region)


def test_region_auto_needs_values_that_are_there_and_together(path):
    dataset(6).array_format.save(path)
    with pytest.raises(KeyError, match="append_dim"):
        dataset(8).isel(time=slice(4, 8)).array_format.save(path, region="auto")
    with pytest.raises(ValueError, match="next to each other"):
        dataset(6).isel(time=[0, 2]).array_format.save(path, region="auto")


def test_two_writers_of_one_chunk_conflict_and_of_two_do_not(path):
    dataset(6).array_format.save(path, encoding={"sst": {"chunks": (2, 3)}})
    with af.open(path, "r+") as slow:
        slow["sst"][0] = 5
        (dataset(6) * 0).isel(time=slice(2, 4)).array_format.save(path, region="auto")
        slow.commit()
        slow["sst"][0] = 6
        (dataset(6) * 0).isel(time=slice(1, 2)).array_format.save(path, region="auto")
        with pytest.raises(af.ConflictError, match="sst"):
            slow.commit()
        slow.discard()


def test_many_files_open_as_one(tmp_path):
    paths = [str(tmp_path / f"{i}.af") for i in range(3)]
    for i, path in enumerate(paths):
        part = dataset(2)
        part.assign_coords(time=part["time"] + np.timedelta64(2 * i, "D")).array_format.save(path)
    with xr.open_mfdataset(paths) as found:
        assert found.sizes["time"] == 6
        assert found["sst"].chunks is not None
        np.testing.assert_array_equal(found["sst"][:2], dataset(2)["sst"])


def test_chunks_are_preferred_and_kept(path):
    dataset(6).array_format.save(path, encoding={"sst": {"chunks": (2, 3), "codec": "zstd:5", "filters": ["shuffle"]}})
    with xr.open_dataset(path, chunks={}) as found:
        assert found["sst"].chunks == ((2, 2, 2), (3,))
        copy = os.path.join(os.path.dirname(path), "copy.af")
        found.array_format.save(copy)
    with af.open(copy) as file:
        assert (file["sst"].chunks, file["sst"].codec, file["sst"].filters) == ((2, 3), "zstd", ("shuffle",))


def test_nulls_are_missing_values(path):
    with af.open(path, "w") as file:
        file.create_array("i", np.ma.MaskedArray([1, 2, 3], [False, True, False]), dims=("x",))
        file.create_array("t", np.ma.MaskedArray(np.array(["2020", "2021", "2022"], "M8[s]"), [True, False, False]), dims=("x",))
        file.create_array("s", ["a", None, "c"], dims=("x",))
    with xr.open_dataset(path) as found:
        np.testing.assert_array_equal(found["i"], [1, np.nan, 3])
        assert np.isnat(found["t"].values).tolist() == [True, False, False]
        assert found["s"].isnull().values.tolist() == [False, True, False]


def test_files_of_others_without_dimensions_open(path):
    with af.open(path, "w") as file:
        file["a"] = np.zeros((2, 3))
        file["b"] = np.zeros((3, 3))
        file["list"] = np.zeros(2, np.dtype(("f4", (3,))))
        file["below/c"] = np.zeros(4)
    with xr.open_dataset(path) as found:
        assert {name: v.shape for name, v in found.variables.items()} == {"a": (2, 3), "b": (3, 3), "list": (2, 3)}


def test_data_arrays_save_too(path):
    dataset()["sst"].array_format.save(path)
    with xr.open_dataarray(path) as found:
        xr.testing.assert_identical(found.load(), dataset()["sst"])
    xr.DataArray([1, 2]).array_format.save(path)
    with xr.open_dataarray(path) as found:
        assert found.name is None


def test_saving_into_an_open_file_is_pending_there(path):
    with af.open(path, "w") as file:
        dataset().array_format.save(file, group="one")
        assert file.has_pending and file.version == 0
        dataset().array_format.save(file, group="two")
        file.commit("both")
        assert file.version == 1
        assert sorted(file) == ["one", "two"]


def test_open_reads_little(path):
    """Opening reads metadata and index variables, not data."""
    wide = xr.Dataset({f"v{i}": (("x",), np.random.default_rng(i).normal(size=20_000)) for i in range(50)})
    wide.array_format.save(path)
    with af.open(path) as file:
        with xr.open_dataset(file) as found:
            assert len(found) == 50
        assert file.counters["bytes"] < 100_000
