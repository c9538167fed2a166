"""array-format's package for Python beside its peers there: the same data, the same steps, the same numbers as the Rust benchmarks.

The field G, f32 [64, 720, 1440], is stored in chunks [4, 180, 360] in two workloads: `grid-zstd3` with Zstandard 3 and nothing
before it, and `grid` with what the peer does when nobody says anything about compression (h5py, netCDF4, TensorStore and TileDB
then store the numbers as they are). The phases are those of the Rust benchmarks:

    write     the whole array, from memory; stored bytes
    read      open and read the whole array into a fresh buffer, and read it again
    series    open and read [64, 1, 1] at 100 random places
    maps      open and read [1, 720, 1440] at 20 random times

Every phase of every peer runs in a process of its own, peers in turn, the fastest of all rounds counts. Importing a package is not
measured; everything else that a peer does at its first use is. Memory is the peak of a step beside what the process held before.
What was read is compared with what was written after the clock has stopped.

Threads are those that each peer takes by default: a pool for Zarr and Icechunk, as many as there are cores for TensorStore, TileDB
and Blosc2, one for HDF5.

The data is made by the Rust benchmarks, and both must be given the same `--dir`. From the root of the repository:

    cargo run --release --manifest-path benchmarks/Cargo.toml -- run grid-zstd3 grid --out target/rust.json
    benchmarks/python/run.sh --out target/python.json
    cargo run --release --manifest-path benchmarks/Cargo.toml -- report target/rust.json target/python.json --docs docs
"""

import argparse
import importlib
import json
import shutil
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

SHAPE = (64, 720, 1440)
CHUNK = (4, 180, 360)
SHARD = (16, 720, 1440)
DIMENSIONS = ("t", "y", "x")
WORKLOADS = ("grid-zstd3", "grid")
PHASES = ("write", "read", "series", "maps")


# The peers. `write` stores an array in an empty folder; when it returns, the data is with the operating system. `open` returns a
# function from slices to the elements in them.


class ArrayFormat:
    name = "array-format (Python)"
    packages = ("array_format",)

    def write(self, folder, values, zstd3):
        import array_format

        how = {"codec": "zstd:3", "filters": []} if zstd3 else {}
        with array_format.open(folder / "v.af", "w") as file:
            file.create_array("v", values, chunks=CHUNK, **how)

    def open(self, folder):
        import array_format

        return array_format.open(folder / "v.af")["v"].__getitem__


class ArrayFormatMapped(ArrayFormat):
    name = "array-format, mapped (Python)"

    def open(self, folder):
        import array_format

        return array_format.open(folder / "v.af", memory_maps=True)["v"].__getitem__


class Zarr:
    name = "zarr-python"
    packages = ("zarr",)
    layout = {}

    def write(self, folder, values, zstd3):
        self.write_to(folder, values, zstd3)

    def write_to(self, store, values, zstd3):
        import zarr
        from zarr.codecs import ZstdCodec

        how = {"compressors": ZstdCodec(level=3)} if zstd3 else {}
        array = zarr.create_array(store, shape=SHAPE, chunks=CHUNK, dtype=values.dtype, **how, **self.layout)
        array[...] = values

    def open(self, folder):
        import zarr

        return zarr.open_array(folder, mode="r").__getitem__


class ZarrSharded(Zarr):
    name = "zarr-python, sharded"
    layout = {"shards": SHARD}


class Icechunk(Zarr):
    name = "Icechunk (Python)"  # the Rust benchmarks have one of their own
    packages = ("icechunk", "zarr")

    def write(self, folder, values, zstd3):
        from icechunk import Repository, local_filesystem_storage

        session = Repository.create(local_filesystem_storage(str(folder))).writable_session("main")
        self.write_to(session.store, values, zstd3)
        session.commit("volume")

    def open(self, folder):
        from icechunk import Repository, local_filesystem_storage

        session = Repository.open(local_filesystem_storage(str(folder))).readonly_session("main")
        return super().open(session.store)


class H5py:
    name = "h5py"
    packages = ("h5py", "hdf5plugin")

    def write(self, folder, values, zstd3):
        import h5py
        import hdf5plugin

        how = hdf5plugin.Zstd(clevel=3) if zstd3 else {}
        with h5py.File(folder / "v.h5", "w") as file:
            file.create_dataset("v", data=values, chunks=CHUNK, **how)

    def open(self, folder):
        import h5py

        return h5py.File(folder / "v.h5")["v"].__getitem__


class NetCDF4:
    name = "netCDF4"
    packages = ("netCDF4",)

    def write(self, folder, values, zstd3):
        from netCDF4 import Dataset

        how = {"compression": "zstd", "complevel": 3, "shuffle": False} if zstd3 else {}
        with Dataset(folder / "v.nc", "w") as file:
            for name, length in zip(DIMENSIONS, SHAPE):
                file.createDimension(name, length)
            file.createVariable("v", values.dtype, DIMENSIONS, chunksizes=CHUNK, **how)[...] = values

    def open(self, folder):
        from netCDF4 import Dataset

        variable = Dataset(folder / "v.nc")["v"]
        variable.set_auto_maskandscale(False)  # the numbers as they are, like all the others
        return variable.__getitem__


class TensorStore:
    name = "TensorStore"
    packages = ("tensorstore",)

    def spec(self, folder):
        return {
            "driver": "zarr3",
            "kvstore": {"driver": "file", "path": str(folder)},
            "context": {"file_io_sync": False},  # the others leave it to the operating system too
        }

    def write(self, folder, values, zstd3):
        import tensorstore as ts

        codecs = [{"name": "zstd", "configuration": {"level": 3}}]
        array = ts.open(
            self.spec(folder),
            create=True,
            shape=SHAPE,
            dtype=values.dtype,
            chunk_layout=ts.ChunkLayout(chunk_shape=CHUNK),
            codec=ts.CodecSpec({"driver": "zarr3", "codecs": codecs}) if zstd3 else None,
        ).result()
        array.write(values).result()

    def open(self, folder):
        import tensorstore as ts

        array = ts.open(self.spec(folder), read=True).result()
        return lambda part: array[part].read().result()


class TileDB:
    name = "TileDB"
    packages = ("tiledb",)

    def write(self, folder, values, zstd3):
        import tiledb

        dimensions = [
            tiledb.Dim(name, domain=(0, length - 1), tile=tile, dtype=np.uint64)
            for name, length, tile in zip(DIMENSIONS, SHAPE, CHUNK)
        ]
        filters = [tiledb.ZstdFilter(level=3)] if zstd3 else []
        attribute = tiledb.Attr(dtype=values.dtype, filters=tiledb.FilterList(filters))
        path = str(folder / "v")
        tiledb.Array.create(path, tiledb.ArraySchema(tiledb.Domain(*dimensions), attrs=[attribute]))
        with tiledb.open(path, "w") as array:
            array[...] = values

    def open(self, folder):
        import tiledb

        # Only the tiles that are wanted: its default, made for object stores, reads 20 MB to get at 1 MB.
        config = tiledb.Config({"vfs.min_batch_size": 0, "vfs.min_batch_gap": 0})
        return tiledb.open(str(folder / "v"), config=config).__getitem__


class Blosc2:
    name = "Blosc2"
    packages = ("blosc2",)

    def write(self, folder, values, zstd3):
        import blosc2

        how = {}
        if zstd3:
            # Zstandard has more levels than Blosc2: its level 2 is level 3 of Zstandard.
            how = {"cparams": {"codec": blosc2.Codec.ZSTD, "clevel": 2, "filters": [blosc2.Filter.NOFILTER]}}
        blosc2.asarray(values, chunks=CHUNK, urlpath=str(folder / "v.b2nd"), **how)

    def open(self, folder):
        import blosc2

        return blosc2.open(str(folder / "v.b2nd"), mode="r").__getitem__


PEERS = {p.name: p for p in (ArrayFormat(), ArrayFormatMapped(), Zarr(), ZarrSharded(), Icechunk(), H5py(), NetCDF4(), TensorStore(), TileDB(), Blosc2())}


# The same random places as in the Rust benchmarks.


class Dice:
    """xorshift64*, as in benchmarks/src/data.rs."""

    MASK = (1 << 64) - 1

    def __init__(self, seed):
        self.state = (seed * 0x9E37_79B9_7F4A_7C15) & self.MASK | 1

    def next(self):
        self.state ^= self.state >> 12
        self.state ^= (self.state << 25) & self.MASK
        self.state ^= self.state >> 27
        return (self.state * 0x2545_F491_4F6C_DD1D) & self.MASK

    def below(self, n):
        return self.next() % n


def series():
    dice = Dice(4)
    points = [(dice.below(SHAPE[1]), dice.below(SHAPE[2])) for _ in range(100)]
    assert points[0] == (386, 150) and points[99] == (680, 161), "not the places of the Rust benchmarks"
    return [np.s_[:, y : y + 1, x : x + 1] for y, x in points]


def maps():
    dice = Dice(5)
    times = [dice.below(SHAPE[0]) for _ in range(20)]
    assert times[:3] == [34, 1, 51] and times[19] == 1, "not the times of the Rust benchmarks"
    return [np.s_[t : t + 1, :, :] for t in times]


# One phase, in a process of its own.


def data_file(root):
    return root / "data" / "grid.raw"


def load(root):
    return np.fromfile(data_file(root), dtype="<f4").reshape(SHAPE)


def resident(which):
    """Resident memory of this process: `VmRSS:` now, `VmHWM:` its peak."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(which):
            return int(line.split()[1]) * 1024
    return 0


def timed(steps, name, work):
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    before = resident("VmRSS:")
    start = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - start
    peak = max(0, resident("VmHWM:") - before)
    steps.append({"name": name, "seconds": seconds, "bytes": None, "peak": peak})
    return result


def run_phase(workload, phase, peer, root):
    for package in peer.packages:
        importlib.import_module(package)
    folder = root / peer.name / workload
    steps = []
    if phase == "write":
        values = load(root)
        timed(steps, "write", lambda: peer.write(folder, values, workload == "grid-zstd3"))
        steps[0]["bytes"] = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
        return steps
    if phase == "read":
        parts = [np.s_[:, :, :]]

        def open_and_read():
            read = peer.open(folder)
            return read, read(parts[0])

        read, first = timed(steps, "open and read", open_and_read)
        del first
        found = [timed(steps, "read again", lambda: read(parts[0]))]
    else:
        name, parts = ("100 series", series()) if phase == "series" else ("20 maps", maps())

        def open_and_read():
            read = peer.open(folder)
            return [read(part) for part in parts]

        found = timed(steps, name, open_and_read)
    values = load(root)
    for part, elements in zip(parts, found, strict=True):
        assert type(elements) is np.ndarray and np.array_equal(elements, values[part]), f"wrong values in {part}"
    return steps


# All phases, and their numbers in the format of the Rust benchmarks.


class Results:
    def __init__(self):
        self.rows = []

    def row(self, workload, step):
        for row in self.rows:
            if (row["workload"], row["step"]) == (workload, step):
                return row
        self.rows.append({"workload": workload, "step": step, "peers": {}, "failed": {}})
        return self.rows[-1]

    def add(self, workload, peer, step):
        best = self.row(workload, step["name"])["peers"]
        if peer not in best or step["seconds"] < best[peer]["seconds"]:
            best[peer] = step

    def fail(self, workload, phase, peer, why):
        print(f"{workload} {phase} {peer}: {why}", file=sys.stderr)
        self.row(workload, phase)["failed"][peer] = why

    def print(self):
        for row in self.rows:
            for peer, step in sorted(row["peers"].items(), key=lambda found: found[1]["seconds"]):
                stored = f"{step['bytes'] / 1e6:.1f} MB" if step["bytes"] else ""
                memory = f"{step['peak'] >> 20} MiB"
                print(f"{row['workload']:11} {row['step']:14} {peer:21} {step['seconds']:9.4f} s {memory:>9} {stored:>9}")


def child(workload, phase, peer, root):
    command = [sys.executable, __file__, "--dir", root, "--child", workload, phase, peer]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(([line for line in done.stderr.splitlines() if line.strip()] or ["failed without a word"])[-1])
    return json.loads(done.stdout.splitlines()[-1])


def measure(arguments):
    root, results = arguments.dir, Results()
    peers = [p for p in PEERS if not arguments.peer or p in arguments.peer]
    phases = [p for p in PHASES if p == "write" or not arguments.phase or p in arguments.phase]
    for package in sorted({package for p in peers for package in PEERS[p].packages}):
        print(f"{package} {version(package.replace('_', '-'))}")
    for workload in arguments.workloads or WORKLOADS:
        folders = {p: root / p / workload for p in peers}
        for phase in phases:
            # Peers in turn, so that what else the machine does meets all of them.
            for _ in range(arguments.rounds):
                for peer in peers:
                    if phase == "write":
                        shutil.rmtree(folders[peer], ignore_errors=True)
                        folders[peer].mkdir(parents=True)
                    try:
                        for step in child(workload, phase, peer, root):
                            results.add(workload, peer, step)
                    except RuntimeError as e:
                        results.fail(workload, phase, peer, str(e))
        for folder in folders.values():
            shutil.rmtree(folder)
    results.print()
    if arguments.out:
        arguments.out.write_text(json.dumps({"rows": results.rows}, indent=2))


def main():
    first, _, rest = __doc__.partition("\n")
    parser = argparse.ArgumentParser(description=first, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", metavar="workload", help=f"of {', '.join(WORKLOADS)}; both if none is named")
    names = "; ".join(PEERS)
    parser.add_argument("--peer", action="append", choices=PEERS, metavar="PEER", help=f"only this, may be repeated: {names}")
    parser.add_argument("--phase", action="append", choices=PHASES, help="only this, may be repeated; writing always runs")
    parser.add_argument("--rounds", type=int, default=3, help="how often each phase runs; the fastest counts")
    parser.add_argument("--out", type=Path, help="where the numbers go, as JSON")
    parser.add_argument("--dir", type=Path, default=Path("target/benchmarks"), help="where data and files go")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    for workload in set(arguments.workloads) - set(WORKLOADS):
        parser.error(f"no workload {workload}; there are {', '.join(WORKLOADS)}")
    file, size = data_file(arguments.dir), 4 * np.prod(SHAPE)
    if not file.exists() or file.stat().st_size != size:
        sys.exit(
            f"error: {file} is missing or does not have {size} bytes; this makes it:\n"
            "cargo run --release --manifest-path benchmarks/Cargo.toml -- "
            f"run grid-zstd3 --peer limit --phase write --rounds 1 --dir {arguments.dir}"
        )
    if arguments.child:
        workload, phase, peer = arguments.child
        print(json.dumps(run_phase(workload, phase, PEERS[peer], arguments.dir)))
    else:
        measure(arguments)


if __name__ == "__main__":
    main()
