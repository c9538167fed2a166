"""Threads work at once, without the interpreter's lock and without copies."""

from __future__ import annotations

import itertools
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import array_format as af


def test_threads_read_and_write_at_once(path: str) -> None:
    with af.open(path, "w") as file:
        array = file.create_array("a", shape=(64, 1000), dtype="i8", chunks=(1, 1000))
        failed: list[object] = []

        def work(thread: int) -> None:
            for row in range(thread, 64, 8):
                array[row] = np.full(1000, row)
                file[f"of/{thread}/{row}"] = row
                file[f"of/{thread}/{row}"].attrs["x"] = row
                found = array[row]
                if not (found == row).all() or file[f"of/{thread}/{row}"][()] != row:
                    failed.append((thread, row))

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))
        assert not failed
    file = af.open(path)
    assert np.array_equal(file["a"][...], np.repeat(np.arange(64), 1000).reshape(64, 1000))
    assert len(file.arrays(recursive=True)) == 65 and file.verify(statistics=True).is_clean

    def check(row: int) -> bool:
        return bool((file["a"][row] == row).all()) and file["a"].oindex[[row], ::10].sum() == 100 * row

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(check, range(64)))


def test_threads_that_change_the_same_chunk_lose_nothing(path: str) -> None:
    file = af.open(path, "w")
    array = file.create_array("a", shape=400, dtype="i8")
    grown = file.create_array("grown", shape=0, dtype="i8", chunks=100)

    def work(thread: int) -> None:
        own = file["grown"]
        for i in range(20):
            place = thread + 8 * i
            if thread % 4 == 0:
                array[place] = 1
            elif thread % 4 == 1:
                array[place : place + 9 : 8] = 1
            elif thread % 4 == 2:
                array.oindex[[place]] = 1
            else:
                array.vindex[[place]] = 1
            own.append([place])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert array[:160].tolist() == [1] * 160
    assert sorted(grown[...].tolist()) == list(range(160))
    file.discard()


def test_the_lock_is_free_while_the_library_works(path: str) -> None:
    with af.open(path, "w", codec="zstd:12") as file:
        array = file.create_array("a", shape=(40, 100_000), dtype="f8", chunks=(10, 100_000), filters=[])
        values = np.random.default_rng(1).integers(0, 1000, (40, 100_000)).astype("f8")

        def write() -> None:
            array[...] = values
            file.commit()

        assert goes_on_during(write)
    file = af.open(path)
    assert goes_on_during(lambda: file["a"][...])


def goes_on_during(call: Callable[[], object]) -> bool:
    """Whether another thread of Python goes on during one long call: were the lock held, it would stand still for as long as that.

    Several attempts, because the machine can be busy; none of them succeeds if the lock is held.
    """
    for _ in range(10):
        began, done = threading.Event(), threading.Event()
        ticks: list[float] = []

        def ticking() -> None:
            began.set()
            while not done.is_set():
                ticks.append(time.perf_counter())
                time.sleep(0)

        thread = threading.Thread(target=ticking)
        thread.start()
        began.wait()
        start = time.perf_counter()
        call()
        end = time.perf_counter()
        done.set()
        thread.join()
        inside = [start, *(t for t in ticks if start < t < end), end]
        if max(b - a for a, b in itertools.pairwise(inside)) < (end - start) / 2:
            return True
    return False


MEMORY = """
import resource, sys
import numpy as np
import array_format as af
af.set_cache(1 << 20)
file = af.open(sys.argv[1])
file["small"][...]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
values = file["a"][...] if sys.argv[2] == "whole" else file["a"][:, ::2]
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print((after - before) * 1024 / values.nbytes)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB there")
@pytest.mark.parametrize("what", ["whole", "strided"])
def test_reading_takes_the_memory_of_the_result(path: str, what: str) -> None:
    values = np.random.default_rng(1).random((80, 250_000))
    with af.open(path, "w") as file:
        file.create_array("a", values, chunks=(1, 250_000))
        file["small"] = [1]
    done = subprocess.run([sys.executable, "-c", MEMORY, path, what], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 1.5, "times the result's size"


def test_writing_does_not_copy_all_of_it(path: str) -> None:
    code = """
import resource, sys
import numpy as np
import array_format as af
values = np.random.default_rng(1).random((160, 125_000))
with af.open(sys.argv[1], "w", pending_bytes=8 << 20) as file:
    array = file.create_array("a", shape=values.shape, dtype="f8", chunks=(1, 125_000))
    array[:1] = values[:1]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    array[...] = values
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print((after - before) * 1024 / values.nbytes)
"""
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 0.7, "times the size of what is written"
