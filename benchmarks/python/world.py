"""What xarray and Dask make of it: opening a file of 1,000 variables, and a cluster of two workers that writes the field G.

    benchmarks/python/run.sh --world

The fastest of some rounds counts; each is of a process of its own. Opening: imports are not measured, and nothing is read but what
`xarray.open_dataset` reads. Zarr has consolidated metadata. Writing: G as an array of Dask in chunks of 16 MB, each of which is 16 chunks
of the file, by one process with its threads, and by two workers of one thread each; whoever writes a part of the field makes it first. The
cluster runs before the clock starts.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

VARIABLES = 1_000
SHAPE = (64, 720, 1440)
CHUNK = (4, 180, 360)
CHUNK_OF_DASK = (4, 720, 1440)


def made(block_info=None):
    """A part of a field that is smooth with noise, rounded to 0.01."""
    (t0, t1), (y0, y1), (x0, x1) = block_info[None]["array-location"]
    t, y, x = np.ogrid[t0:t1, y0:y1, x0:x1]
    noise = np.random.default_rng([t0, y0, x0]).normal(0, 0.05, (t1 - t0, y1 - y0, x1 - x0))
    field = 15 + 10 * np.cos(y / 230) + 3 * np.sin(x / 170 + t / 10) + noise
    return np.round(field, 2).astype("f4")


def dataset_of_many():
    import xarray as xr

    rng = np.random.default_rng(1)
    data = {f"v{i:04}": (("time", "x"), rng.normal(size=(4, 25)).astype("f4"), {"units": "K", "long_name": f"variable {i}"}) for i in range(VARIABLES)}
    return xr.Dataset(data, coords={"time": np.arange(4), "x": np.arange(25.0)}, attrs={"title": "many"})


def fastest(work, rounds=7):
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def opens(folder, engine):
    import xarray as xr

    path = folder / f"many.{engine}"
    if engine == "zarr":
        dataset_of_many().to_zarr(path, consolidated=True)
    elif engine == "array_format":
        import array_format.xarray  # noqa: F401

        dataset_of_many().array_format.save(path)
    else:
        dataset_of_many().to_netcdf(path, engine=engine)

    def work():
        xr.open_dataset(path, engine=engine).close()

    return fastest(work)


def writes(folder, how):
    import dask
    import dask.array as da
    import xarray as xr
    import array_format.xarray  # noqa: F401

    chunks = tuple(tuple(c for _ in range(n // c)) for n, c in zip(SHAPE, CHUNK_OF_DASK))
    field = xr.Dataset({"v": (("t", "y", "x"), da.map_blocks(made, chunks=chunks, dtype="f4", meta=np.empty((0, 0, 0), "f4")))})

    def work():
        field.array_format.save(folder / "g.af", mode="w", encoding={"v": {"chunks": CHUNK}})

    if how == "two workers":
        from dask.distributed import Client, LocalCluster

        with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster):
            work()  # imports
            return fastest(work, 3)
    with dask.config.set(scheduler="threads"):
        work()
        return fastest(work, 3)


STEPS = {"open": opens, "write": writes}
CASES = [("open", e) for e in ("array_format", "zarr", "netcdf4")] + [("write", h) for h in ("one process", "two workers")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.child:
        step, case = arguments.child
        with tempfile.TemporaryDirectory(dir="target") as folder:
            print(json.dumps(STEPS[step](Path(folder), case)))
        return
    seconds = {}
    for _ in range(arguments.rounds):
        for step, case in CASES:
            done = subprocess.run([sys.executable, __file__, "--child", step, case], capture_output=True, text=True)
            if done.returncode:
                sys.exit(done.stderr)
            found = json.loads(done.stdout.splitlines()[-1])
            seconds[step, case] = min(found, seconds.get((step, case), found))
    for step, case in CASES:
        first = seconds[step, next(c for s, c in CASES if s == step)]
        print(f"{step:6} {case:13} {seconds[step, case]:8.4f} s  {seconds[step, case] / first:6.2f}")


if __name__ == "__main__":
    main()
