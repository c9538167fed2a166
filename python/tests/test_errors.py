"""Every kind of error has an exception, which says where and what to do."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import array_format as af
from array_format import _core, errors


def test_the_exceptions_are_the_kinds_of_the_library() -> None:
    assert sorted(errors.BY_KIND) == sorted(_core.ERROR_KINDS)
    for kind, cls in errors.BY_KIND.items():
        assert cls.kind == kind and cls.__name__ in af.__all__ and cls.__doc__
        assert cls.__name__ == "".join(word.title() for word in kind.split("_")) + "Error"


BUILT_IN = {
    "not_found": (FileNotFoundError, KeyError),
    "already_exists": (FileExistsError,),
    "invalid_argument": (ValueError,),
    "permission_denied": (PermissionError,),
    "unavailable": (OSError,),
    "unsupported": (NotImplementedError,),
}


@pytest.mark.parametrize("kind", _core.ERROR_KINDS)
def test_exceptions_are_pythons_own_too_and_can_be_pickled(kind: str) -> None:
    cls = errors.BY_KIND[kind]
    for base in BUILT_IN.get(kind, ()):
        assert issubclass(cls, base)
    error = cls("what to do", file="run.af", layer="x.layer", array="a", block=3, offset=70)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is cls and str(again) == "what to do"
    for name in ("kind", "file", "layer", "array", "block", "offset"):
        assert getattr(again, name) == getattr(error, name)


def contents(path: str) -> dict[Path, bytes]:
    """All that belongs to the file."""
    return {p: p.read_bytes() for p in Path(path).parent.rglob("*") if p.is_file()}


def assert_error(caught: pytest.ExceptionInfo[af.ArrayFormatError], kind: str, *said: str) -> None:
    error = caught.value
    assert error.kind == kind and type(error) is errors.BY_KIND[kind]
    for word in said:
        assert word in str(error), str(error)
    assert pickle.loads(pickle.dumps(error)).args == error.args


def test_not_found(path: str) -> None:
    with pytest.raises(af.NotFoundError) as caught:
        af.open(path)
    assert_error(caught, "not_found", path)
    assert caught.value.file == path
    file = af.open(path, "w")
    for missing in (lambda: file["g/x"], lambda: file.__delitem__("g/x"), lambda: file.rename("g/x", "y")):
        with pytest.raises(KeyError) as found:
            missing()
        assert_error(found, "not_found", "g/x", path)
        assert found.value.array == "g/x" and found.value.file == path
    for gone in (lambda: file.attrs["x"], lambda: file.at("t"), lambda: file.at(9), lambda: file.diff(9), lambda: file.remove_tag("t")):
        with pytest.raises(af.NotFoundError) as found:
            gone()
        assert_error(found, "not_found", path)
    assert file.get("g/x") is None and file.attrs.get("x", 5) == 5


def test_already_exists(path: str) -> None:
    file = af.open(path, "w")
    file["a"], file["g/b"] = 1, 2
    for mode in ("x", "w-"):
        with pytest.raises(FileExistsError) as caught:
            af.open(path, mode)
        assert_error(caught, "already_exists", path, "mode 'w'")
    for name in ("a", "g", "g/b", ""):
        with pytest.raises(af.AlreadyExistsError) as caught:
            file.create_array(name, [1])
        assert_error(caught, "already_exists", path, name)
    with pytest.raises(af.AlreadyExistsError):
        file.create_group("g")
    file.discard()


INVALID = {
    "an empty part": lambda f: f.create_array("a//b", [1]),
    "below an array": lambda f: f.create_array("a/b", [1]),
    "no data": lambda f: f.create_array("b"),
    "a negative length": lambda f: f.create_array("b", shape=-1),
    "a length of 2^64": lambda f: f.create_array("b", shape=2**64),
    "too many elements": lambda f: f.create_array("b", shape=(2**40, 2**40)),
    "half an element": lambda f: f.create_array("b", shape=1.5),
    "empty chunks": lambda f: f.create_array("b", shape=4, chunks=0),
    "negative chunks": lambda f: f.create_array("b", shape=4, chunks=-1),
    "chunks of another rank": lambda f: f.create_array("b", shape=4, chunks=(1, 2)),
    "dims of another rank": lambda f: f.create_array("b", shape=4, dims=("x", "y")),
    "data of another shape": lambda f: f.create_array("b", [1, 2], shape=3),
    "a codec": lambda f: f.create_array("b", shape=4, codec="gzip"),
    "a filter": lambda f: f.create_array("b", shape=4, filters="magic"),
    "a filter of texts": lambda f: f.create_array("b", shape=4, dtype="string", filters=["shuffle"]),
    "a name that is a number": lambda f: f[1],
    "resize to another rank": lambda f: f["a"].resize((1, 2)),
    "resize to less than nothing": lambda f: f["a"].resize(-1),
    "append on no axis": lambda f: f["a"].append([1], axis=1),
    "append of another rank": lambda f: f["a"].append([[1]]),
    "append of texts": lambda f: f["a"].append(["x"]),
    "a dimension of no length": lambda f: f.create_dimension("x", -1),
    "an attribute without a name": lambda f: f.attrs.__setitem__("", 1),
    "an attribute of the package": lambda f: f.attrs.__setitem__("array_format.x", 1),
    "an attribute of no type": lambda f: f.attrs.__setitem__("x", object()),
    "an attribute of two axes": lambda f: f.attrs.__setitem__("x", np.zeros((2, 2))),
    "an attribute that is missing": lambda f: f.attrs.__setitem__("x", np.ma.masked),
    "an attribute in picoseconds": lambda f: f.attrs.__setitem__("x", np.timedelta64(3, "ps")),
    "a tag without a name": lambda f: f.tag("", 1),
    "a group for an array": lambda f: f.__setitem__("b", f),
    "a dictionary for an array": lambda f: f.create_array("b", {"x": 1}),
    "a masked fill value": lambda f: f.create_array("b", shape=2, dtype="i4", fill_value=np.ma.masked),
    "a group with an attribute of no type": lambda f: f.create_group("b", attrs={"x": object()}),
    "a cache of less than nothing": lambda f: af.set_cache(-1),
    "a mode": lambda f: af.open(f.url, "q"),
    "an older version to write": lambda f: af.open(f.url, "r+", version=1),
    "a version that is none": lambda f: af.open(f.url, version=1.5),
    "a deadline": lambda f: af.open(f.url, deadline=-1),
    "a codec for all": lambda f: af.open(f.url, codec="gzip"),
    "a negative memory": lambda f: af.open(f.url, pending_bytes=-1),
    "a scheme": lambda f: af.open("xyz://run.af"),
    "keeping nothing": lambda f: f.gc(keep_last=0),
    "reading texts together": lambda f: f.create_array("b", shape=4, dtype="list<string>"),
}


@pytest.mark.parametrize("what", INVALID)
def test_invalid_argument_changes_nothing(path: str, what: str) -> None:
    with af.open(path, "w") as file:
        file["a"] = np.arange(3)
    file = af.open(path, "r+")
    with pytest.raises(ValueError) as caught:
        INVALID[what](file)
    assert_error(caught, "invalid_argument")
    assert not file.has_pending and list(file) == ["a"] and file["a"].shape == (3,)


def test_conflict_names_array_and_chunk_and_keeps_the_changes(path: str) -> None:
    with af.open(path, "w") as file:
        file.create_array("g/a", np.arange(6), chunks=2)
    one, other = af.open(path, "r+"), af.open(path, "r+")
    one["g/a"][3], other["g/a"][2] = 30, 20
    one.commit()
    with pytest.raises(af.ConflictError) as caught:
        other.commit()
    assert_error(caught, "conflict", "g/a", "[1]", path)
    assert caught.value.array == "g/a" and other.has_pending and other["g/a"][2] == 20
    other.discard()
    assert other.refresh() and other["g/a"][...].tolist() == [0, 1, 2, 30, 4, 5]
    other["g/a"][0], one["g/a"][5] = 10, 50  # chunks apart: both survive
    other.commit()
    one.commit()
    assert af.open(path)["g/a"][...].tolist() == [10, 1, 2, 30, 4, 50]


DENIED = {
    "an array": lambda f: f.create_array("b", [1]),
    "replacing": lambda f: f.__setitem__("a", [1]),
    "assigning": lambda f: f["a"].__setitem__(0, 1),
    "assigning by list": lambda f: f["a"].oindex.__setitem__([0], 1),
    "assigning points": lambda f: f["a"].vindex.__setitem__([0], 1),
    "resizing": lambda f: f["a"].resize(2),
    "appending": lambda f: f["a"].append([1]),
    "deleting": lambda f: f.__delitem__("a"),
    "renaming": lambda f: f.rename("a", "b"),
    "a group": lambda f: f.create_group("g"),
    "a dimension": lambda f: f.create_dimension("x", 1),
    "copying": lambda f: f.copy_from(f["a"], "b"),
    "an attribute": lambda f: f.attrs.__setitem__("x", 1),
    "an attribute of an array": lambda f: f["a"].attrs.__setitem__("x", 1),
    "a dictionary": lambda f: f.attrs.__setitem__("x", {}),
    "no attribute": lambda f: f["a"].attrs.__delitem__("x"),
    "committing": lambda f: f.commit(),
    "a transaction": lambda f: f.transaction().__enter__(),
    "a tag": lambda f: f.tag("x"),
    "no tag": lambda f: f.remove_tag("x"),
    "compacting": lambda f: f.compact(),
    "collecting": lambda f: f.gc(),
    "detaching": lambda f: f.detach(),
    "joining": lambda f: f.join([]),
    "abandoning": lambda f: f.abandon([]),
}


@pytest.mark.parametrize("what", DENIED)
def test_a_handle_to_read_writes_nothing(path: str, what: str) -> None:
    with af.open(path, "w") as file:
        file["a"] = np.arange(3)
        file["a"].attrs["x"] = 1
        file.attrs["x"] = 1
    before = contents(path)
    for file in (af.open(path), af.open(path).at(1), pickle.loads(pickle.dumps(af.open(path)))):
        with pytest.raises(PermissionError) as caught:
            DENIED[what](file)
        assert_error(caught, "permission_denied", path, "r+")
        assert not file.has_pending
        file.close()
    assert contents(path) == before


READ_ONLY_FOLDER = """
import os, sys
import array_format as af
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
try:
    af.open(sys.argv[1], "w")
except PermissionError as e:
    print(e.kind, e.file == sys.argv[1])
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody without rights")
def test_a_folder_without_rights() -> None:
    # Not in pytest's folder, which nobody else may enter.
    done = subprocess.run([sys.executable, "-c", READ_ONLY_FOLDER, "/usr/run.af"], capture_output=True, text=True, check=True)
    assert done.stdout == "permission_denied True\n"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_rights_for_a_user(path: str) -> None:
    Path(path).parent.chmod(0o500)
    with pytest.raises(PermissionError) as caught:
        af.open(path, "w")
    assert_error(caught, "permission_denied", path)


def test_unavailable() -> None:
    with pytest.raises(OSError) as caught:
        af.open("http://127.0.0.1:1/run.af", deadline=0.5)
    assert_error(caught, "unavailable", "127.0.0.1:1", "deadline")


@pytest.fixture
def cold() -> Iterator[None]:
    """Nothing is found in the cache."""
    af.set_cache(0)
    yield
    af.set_cache()


@pytest.mark.usefixtures("cold")
def test_every_flipped_bit_is_noticed(path: str) -> None:
    values = np.random.default_rng(3).random(300)
    with af.open(path, "w", codec="none") as file:
        file.create_array("g/a", values, chunks=100)
        file["b"] = ["x"] * 10
        file.attrs["x"] = 1
    noticed = 0
    for layer, whole in contents(path).items():
        for offset in range(0, len(whole), 31):
            damaged = bytearray(whole)
            damaged[offset] ^= 1 << offset % 8
            layer.write_bytes(damaged)
            try:
                file = af.open(path)
                assert np.array_equal(file["g/a"][...], values) and file["b"][...].tolist() == ["x"] * 10 and file.attrs["x"] == 1
                report = file.verify()
                assert not report.is_clean, (layer, offset)
                assert all(isinstance(d, af.ArrayFormatError) for d in report.damage)
            except af.ArrayFormatError as error:
                assert error.kind in ("corrupt", "unsupported", "not_found"), error
                assert path in str(error)
                noticed += error.kind == "corrupt"
        layer.write_bytes(whole)
    assert noticed > 20


@pytest.mark.usefixtures("cold")
def test_corrupt_names_the_place(path: str) -> None:
    values = np.random.default_rng(3).random(1000)
    with af.open(path, "w", codec="none") as file:
        file.create_array("g/a", values, filters=[])
    layer, whole = next((p, c) for p, c in contents(path).items() if values[500].tobytes() in c)
    offset = whole.index(values[500].tobytes())
    layer.write_bytes(whole[:offset] + b"?" + whole[offset + 1 :])
    file = af.open(path)
    with pytest.raises(af.CorruptError) as caught:
        file["g/a"][...]
    assert_error(caught, "corrupt", path, "g/a")
    error = caught.value
    assert error.array == "g/a" and error.file == path and error.layer and error.block is not None and error.offset <= offset
    report = file.verify()
    assert not report.is_clean and all(isinstance(d, af.CorruptError) for d in report.damage)


def test_what_is_no_file_of_ours(path: str) -> None:
    for content in (b"", b"CDF\1", b"x" * 1000):
        Path(path).write_bytes(content)
        with pytest.raises(af.ArrayFormatError) as caught:
            af.open(path)
        assert caught.value.kind in ("corrupt", "unsupported") and path in str(caught.value)
    with pytest.raises(af.ArrayFormatError) as caught:
        af.open(str(Path(path).parent))
    assert caught.value.kind == "invalid_argument"


def test_a_later_format_is_unsupported(path: str) -> None:
    af.open(path, "w").close()
    content = bytearray(Path(path).read_bytes())
    content[-12:-10] = (2).to_bytes(2, "little")
    Path(path).write_bytes(content)
    with pytest.raises(NotImplementedError) as caught:
        af.open(path)
    assert_error(caught, "unsupported", path, "version")


def test_a_type_that_the_package_does_not_know(path: str) -> None:
    with af.open(path, "w") as file:
        file["a"] = np.zeros(2, "M8[D]")
        file._handle.set_attribute("a", "array_format.dtype", "string", "nonsense")
    with pytest.raises(NotImplementedError) as caught:
        af.open(path)["a"]
    assert_error(caught, "unsupported", "nonsense")


@pytest.mark.usefixtures("cold")
def test_a_version_that_is_collected_under_a_reader_expires(path: str) -> None:
    with af.open(path, "w") as file:
        file.create_array("a", np.arange(100_000), chunks=1000, codec="none")
        file.commit()
        file.attrs["title"] = "the newest layer, which a reader holds open"
    reader = af.open(path)
    array = reader["a"]
    with af.open(path, "r+") as file:
        for i in range(3):
            file["a"] = np.arange(100_000) + i
            file.commit()
        file.compact()
    with pytest.raises(af.SnapshotExpiredError) as caught:
        array[...]
    assert_error(caught, "snapshot_expired", path)
    assert np.array_equal(af.open(path)["a"][...], np.arange(100_000) + 2)


def test_closed_files_say_so(path: str) -> None:
    with af.open(path, "w") as file:
        array, group = file.create_array("g/a", [1]), file["g"]
    for use in (
        lambda: file["g"],
        lambda: array[0],
        lambda: array.attrs["x"],
        lambda: group.attrs["x"],
        lambda: list(group),
        lambda: file.version,
        lambda: file.commit(),
        lambda: file.at(1),
        lambda: pickle.dumps(file),
        lambda: pickle.dumps(array),
    ):
        with pytest.raises(af.InvalidArgumentError, match="closed"):
            use()
    file.close()
    for thing in (file, group):
        assert "closed" in repr(thing) and "closed" in thing._repr_html_()
    assert repr(array) == "<array_format.Array 'g/a' int64 (1,)>" and array._repr_html_()
