"""When what Zarr writes is seen, by whom, and when it is durable."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

zarr = pytest.importorskip("zarr")

from zarr.core.buffer import cpu

import array_format as af
from array_format.zarr import Store


def _array(store: Store, n: int = 8) -> zarr.Array:
    return zarr.create_array(store, name="x", shape=(n,), chunks=(1,), dtype="i4", compressors=None, fill_value=-1)


def _run(code: str, *arguments: str) -> str:
    """Runs code in another process."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code, *arguments], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_stores_on_one_file_see_each_other_at_once_and_others_after_a_commit(path: str) -> None:
    first = Store(path)
    array = _array(first)
    array[:4] = 1
    assert zarr.open_array(Store(path), path="x")[...].tolist() == [1] * 4 + [-1] * 4
    assert zarr.open_array(Store(os.path.relpath(path), read_only=True), path="x", mode="r")[0] == 1
    assert "x" not in af.open(path)
    assert first.commit("half of it") == 1
    array[4:] = 2
    assert af.open(path)["x"][...].tolist() == [1] * 4 + [-1] * 4
    first.close()
    assert af.open(path)["x"][...].tolist() == [1] * 4 + [2] * 4
    assert [v.message for v in af.open(path).versions()] == ["", "half of it", "zarr"]
    assert zarr.open_array(Store(path, version=1), path="x", mode="r")[4] == -1


def test_ten_thousand_chunks_are_one_version(path: str) -> None:
    with Store(path) as store:
        _array(store, 10_000)[...] = np.arange(10_000)
    file = af.open(path)
    assert file.version == 1 and len(file["x"].chunk_stats()) == 10_000
    assert np.array_equal(file["x"][...], np.arange(10_000))


def test_what_nobody_committed_is_committed_when_the_last_store_goes(path: str) -> None:
    first, second = Store(path), Store(path)
    array = _array(first)
    array[...] = 1
    assert zarr.open_array(second, path="x")[0] == 1
    del first, array
    gc.collect()
    assert af.open(path).version == 0
    del second
    gc.collect()
    assert af.open(path)["x"][...].tolist() == [1] * 8


def test_and_when_the_process_ends(path: str) -> None:
    code = """if True:
        import sys, zarr
        from array_format.zarr import Store
        store = Store(sys.argv[1])
        array = zarr.create_array(store, name="x", shape=(3,), dtype="i4")
        array[...] = 7
        if len(sys.argv) > 2:
            raise SystemExit(0)
        """
    _run(code, path)
    assert af.open(path)["x"][...].tolist() == [7] * 3
    _run(code, path + "2", "exit")
    assert af.open(path + "2")["x"][...].tolist() == [7] * 3


def test_a_transaction_is_all_or_nothing(path: str) -> None:
    store = Store(path)
    array = _array(store)
    store.commit()
    with store.transaction("both"):
        array[0] = 1
        array.attrs["a"] = 1
    assert af.open(path).versions()[-1].message == "both" and af.open(path)["x"][0] == 1
    with pytest.raises(RuntimeError, match="no"), store.transaction():
        array[0] = 2
        raise RuntimeError("no")
    assert zarr.open_array(store, path="x")[0] == 1 and not store.file.has_pending
    array[0] = 3
    with pytest.raises(af.InvalidArgumentError, match="pending"), store.transaction():
        pass
    store.close()
    assert af.open(path)["x"][0] == 3


def test_pickling_commits(path: str) -> None:
    store = Store(path)
    array = _array(store)
    array[0] = 5
    copy = pickle.loads(pickle.dumps(array))
    assert af.open(path)["x"][0] == 5
    copy[1] = 6  # in this process: one handle, and nothing is committed before somebody says so
    assert array[1] == 6 and af.open(path)["x"][1] == -1
    assert pickle.loads(pickle.dumps(store)) == store


WORKER = """if True:
    import pickle, sys
    array = pickle.load(open(sys.argv[1], "rb"))
    first, last = int(sys.argv[2]), int(sys.argv[3])
    for i in range(first, last):
        array[i] = i
    if sys.argv[4] == "crash":
        import os
        os._exit(0)
    """


@pytest.mark.parametrize("end", ["crash", "exit"])
def test_other_processes_are_durable_at_once_and_seen_by_the_one_that_sent_them(path: str, tmp_path: Path, end: str) -> None:
    store = Store(path)
    array = _array(store, 20)
    (tmp_path / "array").write_bytes(pickle.dumps(array))
    parts = [(0, 7), (7, 14), (14, 20)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda p: _run(WORKER, str(tmp_path / "array"), str(p[0]), str(p[1]), end), parts))
    assert array[...].tolist() == list(range(20))
    assert af.open(path)["x"][...].tolist() == list(range(20))
    array.attrs["done"] = True
    store.close()
    assert af.open(path)["x"].attrs["done"] and af.open(path).verify(statistics=True).is_clean


def test_the_last_one_who_writes_a_key_wins(path: str) -> None:
    with Store(path) as store:
        _array(store)

    # Two handles of one file, as two processes have them.
    one, two = Store(path, autocommit=True), Store(path, autocommit=True, deadline=59)
    assert one._shared() is not two._shared()
    x, y = zarr.open_array(one, path="x"), zarr.open_array(two, path="x")
    for i in range(3):
        x[0] = 10 + i
        y[0] = 20 + i
        x.attrs["a"] = i
        y.attrs["a"] = -i
    one.refresh()
    assert x[0] == 22 and y[0] == 22 and af.open(path)["x"][0] == 22
    assert zarr.open_array(one, path="x").attrs["a"] == -2


def test_changes_that_are_not_committed_at_once_conflict(path: str) -> None:
    with Store(path) as store:
        _array(store)
    one, two = Store(path), Store(path, deadline=59)
    zarr.open_array(one, path="x")[0] = 1
    zarr.open_array(two, path="x")[0] = 2
    one.commit()
    with pytest.raises(af.ConflictError):
        two.commit()
    assert zarr.open_array(two, path="x")[0] == 2  # nothing is lost
    two.file.discard()
    two.close()
    one.close()


def test_many_threads_that_commit_every_change_share_commits(path: str) -> None:
    with Store(path) as store:
        _array(store, 64)
    store = Store(path, autocommit=True)
    array = zarr.open_array(store, path="x")
    start = threading.Barrier(8)

    def write(part: int) -> None:
        start.wait()
        for i in range(part, 64, 8):
            array[i] = i

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert af.open(path)["x"][...].tolist() == list(range(64))
    assert af.open(path).version < 60


def test_a_file_that_is_made_anew_is_another_one(path: str) -> None:
    store = Store(path)
    _array(store)[...] = 1
    store.commit()
    with af.open(path, "w") as file:
        file.create_array("y", np.arange(3))
    fresh = Store(path)
    assert sorted(zarr.open_group(fresh, mode="r").array_keys()) == ["y"]


def test_a_store_that_reads_makes_no_file(path: str) -> None:
    with pytest.raises(FileNotFoundError):
        asyncio.run(Store(path, read_only=True).get("zarr.json"))
    assert not os.path.exists(path)
    with pytest.raises(af.InvalidArgumentError):
        Store(path, version=1, autocommit=True)


def test_values_are_checked_and_keys_are_any(path: str) -> None:
    with Store(path) as store:
        with pytest.raises(TypeError):
            asyncio.run(store.set("x", b"no buffer"))
        for key in ("/", "a//b", "ä/ö", "a/../b", "array_format.zarr/x", "array_format.zarr/zarr.json", "x" * 20_000, " "):
            asyncio.run(store.set(key, cpu.Buffer.from_bytes(key.encode())))
        assert all(asyncio.run(store.get(k)).to_bytes() == k.encode() for k in ("/", "a//b", "ä/ö", "array_format.zarr/x"))
        asyncio.run(store.clear())
        assert asyncio.run(store.is_empty(""))
    assert list(af.open(path)) == []
