"""What `af` reads of NetCDF and HDF5 files is what netCDF4-python reads: the real files of data/ and made ones.

AF names the command `af`. The command in AF_DUMP prints the dump of a source; without it, cargo runs the example dump_source.
"""

import hashlib
import json
import os
import pathlib
import shlex
import subprocess

import cases
import compare
import numpy
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
REAL = sorted((ROOT / "data").glob("*.nc"))
SLABS = ["67108864", "5000"]  # bytes in one read: all, and so few that every variable is cut


SOURCE = os.environ.get("AF_DUMP", "cargo run --quiet --locked -p array-format-cli --example dump_source --")


def output(command, *arguments):
    done = subprocess.run([*shlex.split(command), *map(str, arguments)], cwd=ROOT, check=True, capture_output=True)
    return json.loads(done.stdout)


@pytest.fixture(scope="session", params=["read", "imported"])
def dump(request):
    """A function that reads a file with `af`: straight, or from what `af import` made of it."""

    def run(path, slab_bytes):
        found = output(SOURCE, path, slab_bytes)
        if request.param == "imported":
            # What was left out is told while importing; it is not in the file.
            found = output("tests/roundtrip/af_dump.sh", path) | {"skipped": found["skipped"]}
        return found

    return run


def test_there_are_real_files():
    assert len(REAL) >= 8


@pytest.mark.parametrize("slab_bytes", SLABS)
@pytest.mark.parametrize("path", REAL, ids=lambda p: p.name)
def test_real_file_is_read_as_by_netcdf(path, slab_bytes, dump):
    assert not list(compare.differences(compare.expected(path), dump(path, slab_bytes)))


@pytest.mark.filterwarnings("ignore:endian-ness")
@pytest.mark.parametrize("slab_bytes", SLABS)
@pytest.mark.parametrize("name", cases.CASES)
def test_made_file_is_read_as_by_netcdf(name, slab_bytes, dump, tmp_path):
    path = tmp_path / name
    cases.CASES[name](path)
    assert not list(compare.differences(compare.expected(path), dump(path, slab_bytes)))


def test_what_netcdf_cannot_open_is_read_or_reported(dump, tmp_path):
    path = tmp_path / "only.h5"
    cases.only_hdf5(path)
    found = dump(path, SLABS[0])
    assert {a["name"]: (a["dtype"], a["shape"]) for a in found["arrays"]} == {
        "half": ("f16", [3]), "bool": ("i8", [2]), "complex": ("complex128", [1]), "array": ("f32", [2, 3]),
        "opaque": ("list<u8; 3>", [2]), "zero": ("f64", [0, 4]), "scaled": ("u8", [3, 2]),
        "axis": ("f64", [3]),
    }  # fmt: skip
    skipped = {s["name"] for s in found["skipped"] if s["attribute"] is None}
    assert skipped == {"empty", "reference", "latin", "loop/itself"}
    notes = {s["attribute"] for s in found["skipped"] if s["name"] == "half"}
    assert notes == {"reference", "ragged", "latin"}
    arrays = {a["name"]: a for a in found["arrays"]}
    assert arrays["half"]["attributes"]["NAME"] == {"type": "string", "value": "the user's own"}
    assert arrays["axis"]["attributes"] == {} and arrays["axis"]["dims"] == ["axis"]
    first, second = arrays["scaled"]["dims"]
    assert first == "axis" and second.startswith("phony_dim_")
    assert arrays["scaled"]["sha256"] == hashlib.sha256(bytes([1, 2, 3, 4, 5, 6])).hexdigest()
    halves = numpy.array([1, 0.5, -0.0], "<f2").tobytes()
    assert arrays["half"]["sha256"] == hashlib.sha256(halves).hexdigest()


def test_a_difference_is_seen():
    path = ROOT / "data" / "vlstr_type.nc"
    wanted = compare.expected(path)
    found = compare.expected(path)
    found["arrays"][0]["sha256"] = "0" * 64
    found["arrays"][1]["attributes"].popitem()
    found["groups"][0]["dimensions"][0]["len"] += 1
    del found["arrays"][-1]
    assert len(list(compare.differences(wanted, found))) == 4
