"""xarray's own tests of trees, against the engine."""

from __future__ import annotations

import pytest
import xarray as xr
from xarray.tests.conftest import create_test_datatree, simple_datatree  # noqa: F401  fixtures of the suite
from xarray.tests.test_backends_datatree import NetCDFIOBase

import array_format.xarray  # noqa: F401

ENGINE = "array_format"


class TestTrees(NetCDFIOBase):
    """`NetCDFIOBase`, whose ``to_netcdf`` is ``array_format.save`` here."""

    engine = ENGINE

    @pytest.fixture(autouse=True)
    def _save(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def save(tree, path=None, *, engine=None, encoding=None, compute=True, **kwargs):
            assert path is not None and engine == ENGINE
            return tree.array_format.save(path, encoding=encoding, compute=compute, **kwargs)

        monkeypatch.setattr(xr.DataTree, "to_netcdf", save)

    @pytest.mark.skip("its compression options are those of HDF5; test_encoding_by_path is the same for this engine")
    def test_netcdf_encoding(self): ...

    def test_encoding_by_path(self, tmpdir, simple_datatree) -> None:
        filepath, encoding = tmpdir / "test.af", {"/set2": {"a": {"codec": "zstd:9"}, "b": {"codec": "lz4"}}}
        simple_datatree.array_format.save(filepath, encoding=encoding)
        with xr.open_datatree(filepath, engine=ENGINE) as tree:
            assert tree["/set2/a"].encoding["codec"] == "zstd"
            assert tree["/set2/b"].encoding["codec"] == "lz4"
            assert "codec" not in tree["/set1/a"].encoding
        with pytest.raises(ValueError, match="unexpected encoding group"):
            simple_datatree.array_format.save(filepath, encoding={"/not/a/group": {"foo": {}}})

    @pytest.mark.skip("looks into the file with netCDF4; test_inherited_coordinates_are_written_once is the same for this engine")
    def test_no_redundant_dimensions(self): ...

    def test_inherited_coordinates_are_written_once(self, tmpdir) -> None:
        tree = xr.DataTree.from_dict({"/": xr.Dataset(coords={"x": [1, 2, 3]}), "/child": xr.Dataset({"foo": ("x", [4, 5, 6])})})
        tree.array_format.save(str(tmpdir / "test.af"))
        with array_format.open(str(tmpdir / "test.af")) as file:
            assert list(file) == ["child", "x"]
            assert list(file["child"]) == ["foo"]

    @pytest.mark.skip("expects definitions to be visible before compute(); here a version is there as a whole or not: test_compute_later")
    def test_compute_false(self): ...

    def test_compute_later(self, tmpdir, simple_datatree) -> None:
        filepath = str(tmpdir / "test.af")
        later = simple_datatree.chunk().array_format.save(filepath, compute=False)
        with pytest.raises(FileNotFoundError):
            xr.open_datatree(filepath, engine=ENGINE)
        later.compute()
        with xr.open_datatree(filepath, engine=ENGINE) as written:
            xr.testing.assert_identical(written, simple_datatree)

    @pytest.mark.skip("is about which netCDF library xarray chooses")
    def test_default_write_engine(self): ...

    @pytest.mark.skip("files of this engine are places with layers beside them, not streams of bytes")
    def test_roundtrip_via_memoryview(self): ...

    @pytest.mark.skip("as test_roundtrip_via_memoryview")
    def test_to_memoryview_compute_false(self): ...


@pytest.fixture(scope="module")
def unaligned_datatree_nc(tmp_path_factory):
    """What xarray's fixture of this name is, written by the engine: groups that do not align with their parents."""
    path = str(tmp_path_factory.mktemp("data") / "unaligned.af")
    root = xr.Dataset({"lat": ("lat", [1.0, 2.0]), "lon": ("lon", [1.0, 2.0, 3.0]), "root_variable": ("lat", [1.0, 2.0])})
    group = xr.Dataset({"lat": ("lat", [1.0, 2.0, 3.0]), "group_1_var": ("lat", [1.0, 2.0, 3.0])})
    sub = xr.Dataset({"lat": ("lat", [5.0]), "subgroup1_var": ("lat", [3.0])})
    root.array_format.save(path)
    group.array_format.save(path, mode="a", group="Group1")
    sub.array_format.save(path, mode="a", group="Group1/subgroup1")
    return path


def test_groups_that_do_not_align_open_as_a_dictionary(unaligned_datatree_nc) -> None:
    with pytest.raises(ValueError, match="not aligned"):
        xr.open_datatree(unaligned_datatree_nc)
    groups = xr.open_groups(unaligned_datatree_nc)
    assert set(groups) == {"/", "/Group1", "/Group1/subgroup1"}
    for name, dataset in groups.items():
        xr.testing.assert_identical(dataset, xr.open_dataset(unaligned_datatree_nc, group=name))
    with pytest.raises(FileNotFoundError):
        xr.open_dataset(unaligned_datatree_nc, group="Group2")


def test_groups_open_in_chunks(unaligned_datatree_nc) -> None:
    groups = xr.open_groups(unaligned_datatree_nc, chunks={"lat": 1})
    assert groups["/Group1"]["group_1_var"].chunks == ((1, 1, 1),)
    for name, dataset in groups.items():
        xr.testing.assert_identical(dataset.load(), xr.open_dataset(unaligned_datatree_nc, group=name).load())
