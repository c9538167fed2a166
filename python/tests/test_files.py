"""Files as objects: names, groups, pickling, the command, the cache."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import array_format as af


def test_a_file_is_a_mapping(path: str) -> None:
    file = af.open(path, "w")
    file["b"], file["g/h/a"], file["a"] = 1, 2, 3
    assert list(file) == ["a", "b", "g"] and len(file) == 3 and dict(file).keys() == {"a", "b", "g"}
    assert "g/h/a" in file and "g/h" in file and "g/x" not in file and "a//b" not in file and 5 not in file and "" in file
    assert file["g"]["h"]["a"][()] == 2 and file["g/h"].path == "g/h" and file["/g/h/"].name == "h"
    assert file["g"] == file["g"] and file["g"] != file["g/h"] and file[""] is file and len({file["g"], file["g"]}) == 1
    assert file.get("x") is None and file.get("a")[()] == 3
    assert sorted(file.arrays()) == ["a", "b"] and sorted(file.arrays(recursive=True)) == ["a", "b", "g/h/a"]
    assert list(file.groups()) == ["g"] and list(file["g"].groups()) == ["h"] and list(file["g/h"].arrays()) == ["a"]
    assert file["g"].file is file and file["a"].file is file and file["g/h/a"].name == "a"
    file["g"].create_array("x/y", [1])
    assert "g/x/y" in file
    assert file.pop("b").path == "b" and "b" not in file
    file.clear()
    assert list(file) == []
    file.discard()


def test_deleting_and_renaming(path: str) -> None:
    file = af.open(path, "w")
    file["g/h/a"], file["b"] = [1, 2], 5
    file["g"].attrs["x"] = 1
    file.rename("g", "k")
    assert file["k/h/a"][...].tolist() == [1, 2] and "g" not in file and file["k"].attrs["x"] == 1
    file["k"].rename("h", "i")
    assert file["k/i/a"][1] == 2
    for old, new in (("x", "y"), ("b", "k"), ("k", "k/z"), ("b", "b/c"), ("b", "")):
        with pytest.raises(af.ArrayFormatError):
            file.rename(old, new)
    del file["k"]
    assert list(file) == ["b"]
    for name in ("k", "", "b/c"):
        with pytest.raises(KeyError):
            del file[name]
    file.discard()


def test_groups(path: str) -> None:
    file = af.open(path, "w")
    group = file.create_group("g/h", attrs={"x": 1})
    assert group.attrs["x"] == 1 and list(group) == [] and file.require_group("g/h") == group
    group["a"] = 1
    file["i/j/a"] = 1
    file.require_group("i")  # it is there for the sake of what is in it: now it stays
    del file["i/j"]
    assert "i" in file and list(file["i"]) == []
    group.create_dimension("time", 5, unlimited=True)
    group.create_dimension("depth", np.int64(3))
    assert group.dims == {"time": 5, "depth": 3} and group.unlimited_dims == {"time"}
    file.commit()
    reader = af.open(path)
    assert reader.require_group("g/h").dims == {"time": 5, "depth": 3}
    with pytest.raises(af.AlreadyExistsError):
        file.require_group("g/h/a")


def test_what_an_array_is(path: str) -> None:
    file = af.open(path, "w")
    array = file.create_array(
        "g/a", shape=(4, 6), dtype=">i2", dims=("y", "x"), chunks=(2, 3), fill_value=-1, filters=("shuffle",), codec="zstd:3"
    )
    assert (array.path, array.name, array.shape, array.dims, array.chunks) == ("g/a", "a", (4, 6), ("y", "x"), (2, 3))
    assert array.dtype == "<i2" and array.element_type == "i16" and array.fill_value == -1 and not array.nullable
    assert array.filters == ("shuffle",) and array.codec == "zstd" and array.ndim == 2 and array.nbytes == 48
    assert file.create_array("one", shape=3, dims="x", chunks=2).dims == ("x",)
    assert file.create_array("none", shape=3).dims == () and file["none"].chunks is None
    assert file.create_array("cube", shape=(400, 700, 300), dtype="f4").chunks is not None
    assert file.create_array("whole", shape=(400, 700, 300), dtype="f4", chunks=False).chunks is None
    file.discard()


def test_an_array_that_fails_half_made_is_not_there(path: str) -> None:
    file = af.open(path, "w")
    for options in ({"attrs": {"x": object()}}, {"shape": 5}, {"dtype": "i1"}):
        with pytest.raises(af.InvalidArgumentError):
            file.create_array("g/a", [300, 1], **options)
        assert "g/a" not in file
    file.discard()


def test_growing(path: str) -> None:
    file = af.open(path, "w")
    array = file.create_array("a", np.arange(6).reshape(2, 3), chunks=(2, 2), fill_value=-1)
    array.append([[6, 7, 8]])
    array.append(np.array([[10], [11], [12]]), axis=-1)
    assert array[...].tolist() == [[0, 1, 2, 10], [3, 4, 5, 11], [6, 7, 8, 12]]
    array.append(np.empty((0, 4), int))
    array.resize((4, np.int64(2)))
    assert array.shape == (4, 2) and array[...].tolist() == [[0, 1], [3, 4], [6, 7], [-1, -1]]
    for values, axis in (([[1]], 0), ([1, 2], 0), ([[1, 2]], 2)):
        with pytest.raises(af.InvalidArgumentError):
            array.append(values, axis)
    with pytest.raises(af.InvalidArgumentError):
        array.append([["x", "y"]])
    assert array.shape == (4, 2)
    file.discard()


def test_arrays_that_begin_empty_have_chunks_to_grow_by(path: str) -> None:
    file = af.open(path, "w")
    for shape, chunks in {(0,): (131072,), (0, 8): (16384, 8), (0, 0): (362, 362), (5, 0): (5, 26214)}.items():
        assert file.create_array("a", shape=shape, dtype="f8", overwrite=True).chunks == chunks
    big = file.create_array("b", shape=(0, 1000, 1000), dtype="f8")
    assert big.chunks[0] == 1 and np.prod(big.chunks) * 8 <= 1 << 20
    assert file.create_array("c", shape=0, dtype="f8", chunks=False).chunks is None
    file.discard()


def test_several_objects_for_one_array_see_the_same(path: str) -> None:
    file = af.open(path, "w")
    one = file.create_array("a", [1, 2])
    other = file["a"]
    one.append([3])
    other.append([4])
    one.append([5])
    assert one[...].tolist() == other[...].tolist() == [1, 2, 3, 4, 5] and other.shape == (5,) and len(other) == 5
    file.create_array("a", np.array([1.5, 2.5], "f4"), overwrite=True, fill_value=7)
    assert one[...].tolist() == [1.5, 2.5] and one.fill_value == 7
    one[0], other.oindex[[1]] = 8.5, 9
    assert one[...].tolist() == [8.5, 9.0]
    file.commit()
    one.resize(1)
    file.discard()
    assert other[...].tolist() == [8.5, 9.0]
    with af.open(path, "r+") as somebody:
        somebody["a"].resize(5)
    file.refresh()
    assert one[...].tolist() == [8.5, 9.0, 7.0, 7.0, 7.0]
    del file["a"]
    assert one.shape == (5,) and repr(one)
    for use in (lambda: one[...], lambda: one.__setitem__(0, 1), lambda: one.append([1]), lambda: one.oindex[[0]]):
        with pytest.raises(af.NotFoundError):
            use()
    file.discard()


def test_replacing_by_name(path: str) -> None:
    file = af.open(path, "w")
    file["a"] = [1, 2]
    file["a"] = np.ma.MaskedArray([1, 2], [True, False])
    assert file["a"].nullable and file["a"][...].tolist() == [None, 2]
    file["a"] = [3, 4]
    assert file["a"].nullable and file["a"][...].tolist() == [3, 4]
    file["a"] = ["x"]
    assert file["a"].element_type == "string" and file["a"].shape == (1,)
    file["g/b"] = 1
    with pytest.raises(af.ArrayFormatError):
        file["g"] = [1]
    file.discard()


def test_files_arrays_and_groups_are_pickled(path: str) -> None:
    with af.open(path, "w") as file:
        file["g/a"] = [1, 2]
        file["g"].attrs["x"] = 1
    file = af.open(path)
    for make in (lambda x: pickle.loads(pickle.dumps(x)), copy.copy, copy.deepcopy):
        again, array, group = make(file), make(file["g/a"]), make(file["g"])
        assert again is not file and again.version == file.version and again.mode == "r"
        assert array[...].tolist() == [1, 2] and group.attrs["x"] == 1
    one, other = pickle.loads(pickle.dumps((file["g/a"], file["g/a"])))
    assert one.file is other.file
    with af.open(path, "r+") as writer:
        writer["g/a"][0] = 5
        writer.commit()
        assert pickle.loads(pickle.dumps(writer))["g/a"][0] == 5 and pickle.loads(pickle.dumps(writer)).mode == "r+"
        writer["g/a"][0] = 6
        with pytest.raises(af.InvalidArgumentError, match="pending"):
            pickle.dumps(writer)
        writer.discard()
    assert pickle.loads(pickle.dumps(file))["g/a"][0] == 1  # the version that it has
    with af.open(path, "w"):
        pass
    assert pickle.loads(pickle.dumps(af.open(path, "r+"))).mode == "r+"


def test_paths(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    af.open(Path(path), "w").close()
    for url in (path, Path(path), os.fsencode(path), f"file://{path}"):
        assert af.open(url).version == 0
    monkeypatch.chdir(Path(path).parent)
    assert af.open("run.af").url == "run.af"
    odd = Path(path).parent / "a b%20\u00e9#?.af"
    af.open(odd, "w").close()
    assert odd.exists() and af.open(odd).version == 0


def read_in_a_child(path: str) -> None:
    af.open(path)["a"][...]


def test_a_forked_child_is_told(path: str) -> None:
    with af.open(path, "w") as file:
        file["a"] = [1]
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            read_in_a_child(path)
            said = "nothing"
        except RuntimeError as e:
            said = str(e)
        os.write(writing, said.encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert "spawn" in os.read(reading, 1000).decode()
    assert af.open(path)["a"][0] == 1


def test_a_spawned_child_works(path: str) -> None:
    with af.open(path, "w") as file:
        file["a"] = [1]
    child = multiprocessing.get_context("spawn").Process(target=read_in_a_child, args=(path,))
    child.start()
    child.join(60)
    assert child.exitcode == 0


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "array_format", *arguments], capture_output=True, text=True, check=False)


def test_the_command(path: str) -> None:
    with af.open(path, "w") as file:
        file.create_array("g/a", [1, 2], dims=("x",))
    listed = run("ls", path)
    assert listed.returncode == 0 and "g" in listed.stdout
    assert run("verify", path).returncode == 0
    missing = run("ls", path + "x")
    assert missing.returncode != 0 and missing.stderr and "Traceback" not in missing.stderr
    assert "Usage" in run("--help").stdout and run("nonsense").returncode != 0


def test_the_cache_in_a_folder(path: str, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    try:
        af.set_cache(1 << 20, folder, 16 << 20)
        with af.open(path, "w") as file:
            file["a"] = np.arange(100)
        assert af.open(path)["a"][5] == 5
        af.sync_cache()
        af.set_cache(disk_folder=str(folder))
        assert af.open(path)["a"][5] == 5
        af.set_cache(0)
        assert af.open(path)["a"][5] == 5
        Path(tmp_path / "file").touch()
        with pytest.raises(af.ArrayFormatError):
            af.set_cache(disk_folder=tmp_path / "file")
    finally:
        af.set_cache()


def test_counters_count(path: str) -> None:
    with af.open(path, "w") as file:
        file.create_array("a", np.random.default_rng(1).random(50_000), codec="none")
    file = af.open(path)
    assert set(file.counters) == {"requests", "bytes", "decoded_blocks", "cache_hits"}
    before = file.counters["bytes"]
    file["a"][...]
    assert file.counters["bytes"] > before


def test_memory_maps_bring_no_bytes(path: str) -> None:
    values = np.random.default_rng(1).random((50, 10_000))
    with af.open(path, "w") as file:
        file.create_array("a", values, chunks=(5, 10_000), codec="none")
    opened = af.open(path, memory_maps=True)
    for file in (opened, pickle.loads(pickle.dumps(opened))):
        array = file["a"]
        before = file.counters["bytes"]
        assert np.array_equal(array[...], values) and np.array_equal(array[7:9, ::3], values[7:9, ::3])
        assert file.counters["bytes"] == before
