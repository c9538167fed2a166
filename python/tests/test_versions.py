"""Transactions, versions, tags, upkeep, and writers that share one commit."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

import array_format as af


def three_versions(path: str) -> af.File:
    file = af.open(path, "w")
    file.create_array("a", np.arange(6), chunks=2)
    file.commit("one")
    file["a"][3] = 30
    file.attrs["title"] = "two"
    file.commit("two")
    file["g/b"] = ["x"]
    del file["a"]
    file.commit()
    return file


def test_a_transaction_is_one_version(path: str) -> None:
    file = af.open(path, "w")
    before = file.version
    with file.transaction("all at once") as inside:
        assert inside is file
        file["a"] = 1
        file["b"] = 2
        assert af.open(path).version == before
    assert file.version == before + 1 and not file.has_pending
    assert file.versions()[-1].message == "all at once" and sorted(af.open(path)) == ["a", "b"]


def test_a_transaction_that_changes_nothing_is_no_version(path: str) -> None:
    file = af.open(path, "w")
    before = file.version
    with file.transaction():
        pass
    assert file.version == before == file.commit()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_exception_discards_the_transaction(path: str, error: type[BaseException]) -> None:
    file = three_versions(path)
    before = file.version
    with pytest.raises(error), file.transaction():
        file["c"] = np.zeros(10)
        del file["g"]
        file.attrs["title"] = "other"
        raise error
    assert file.version == before and not file.has_pending
    assert list(file) == ["g"] and file.attrs["title"] == "two"


def test_transactions_do_not_begin_within_something(path: str) -> None:
    file = af.open(path, "w")
    with file.transaction():
        with pytest.raises(af.InvalidArgumentError, match="is in a transaction"), file.transaction():
            pass
        file["a"] = 1
    file["b"] = 1
    with pytest.raises(af.InvalidArgumentError, match="pending"), file.transaction():
        pass
    assert file.has_pending and sorted(file) == ["a", "b"]
    file.discard()
    assert list(file) == ["a"]


def test_a_conflict_keeps_what_the_transaction_did(path: str) -> None:
    with af.open(path, "w") as file:
        file["a"] = [1, 2]
    one, other = af.open(path, "r+"), af.open(path, "r+")
    with pytest.raises(af.ConflictError), one.transaction():
        one["a"][0] = 5
        other["a"][1] = 6
        other.commit()
    assert one.has_pending and one["a"][...].tolist() == [5, 2]
    one.discard()
    one.refresh()
    with one.transaction():  # as if nothing had been
        one["a"][0] = 5
    assert af.open(path)["a"][...].tolist() == [5, 6]


def test_a_with_statement_commits_or_discards(path: str) -> None:
    with af.open(path, "w") as file:
        file["a"] = 1
    assert file.closed and list(af.open(path)) == ["a"]
    with pytest.raises(ZeroDivisionError), af.open(path, "r+") as file:
        file["b"] = 1
        raise ZeroDivisionError
    assert file.closed and list(af.open(path)) == ["a"]
    file = af.open(path, "r+")
    file["c"] = 1
    file.close()
    file.close()
    assert sorted(af.open(path)) == ["a", "c"]


def test_pending_changes_that_are_lost_warn(path: str) -> None:
    file = af.open(path, "w")
    file["a"] = 1
    with pytest.warns(ResourceWarning, match="neither committed nor discarded"):
        del file
    assert list(af.open(path)) == []


def test_modes(path: str) -> None:
    with pytest.raises(af.NotFoundError):
        af.open(path, "r+")
    with af.open(path, "a") as file:
        file["a"] = 1
    with af.open(path, "a") as file:
        file["b"] = 1
    assert sorted(af.open(path)) == ["a", "b"] and af.open(path).mode == "r"
    with af.open(path, "w") as file:
        assert list(file) == []
    assert list(af.open(path)) == []


def test_versions_tell_what_they_are(path: str) -> None:
    file = three_versions(path)
    file.tag("second", 2)
    found = {v.number: v for v in file.versions()}
    assert found[1].message == "one" and found[1].cause == "commit" and found[1].arrays == 1
    assert found[2].tags == ("second",) and found[3].message == ""
    for version in found.values():
        assert abs(datetime.now(UTC) - version.time) < timedelta(minutes=5)
        assert version.layers >= 1 and version.layer_bytes > 0


def test_older_versions_stay_as_they_were(path: str) -> None:
    file = three_versions(path)
    one, two = file.at(1), file.at(2)
    assert one["a"][...].tolist() == [0, 1, 2, 3, 4, 5] and dict(one.attrs) == {}
    assert two["a"][3] == 30 and two.attrs["title"] == "two" and two.version == 2
    assert af.open(path, version=1)["a"][3] == 3
    assert not one.refresh() or one.version == 1


def test_diff(path: str) -> None:
    file = three_versions(path)
    assert file.diff(1, 1) == {}
    one = file.diff(1, 2)
    assert one["a"] == af.Change("modified", False, [(1,)], [])
    assert set(one) == {"", "a"}
    # The root is always there: its first attribute does not add it.
    assert one[""] == af.Change("modified", False, [], ["title"])
    two = file.diff(2)
    assert two["a"].kind == "removed" and two["g/b"].kind == "added"
    back = file.diff(3, 2)
    assert back["a"].kind == "added" and back["g/b"].kind == "removed"
    file.tag("then", 1)
    assert file.diff("then", 2) == one


def test_tags(path: str) -> None:
    file = three_versions(path)
    file.tag("first", 1)
    file.tag("latest")
    assert file.tags["first"] == 1 and file.at("first").version == 1
    assert af.open(path, version="first")["a"][3] == 3
    file.tag("first", 2)
    assert file.at("first")["a"][3] == 30
    file.remove_tag("first")
    assert "first" not in file.tags
    with pytest.raises(af.NotFoundError, match="latest"):
        file.at("first")


def test_collecting_keeps_what_is_asked_for(path: str) -> None:
    file = three_versions(path)
    file.tag("kept", 1)
    files = {v.number for v in file.versions()}
    dry = file.gc(dry_run=True)
    assert dry.nbytes == sum(n for _, n in dry.objects) and {v.number for v in file.versions()} == files
    assert af.open(path).gc(dry_run=True) == dry
    since = file.gc(dry_run=True, keep_since=datetime.now(UTC) - timedelta(hours=1))
    assert since.objects == []
    done = file.gc()
    assert done.objects == dry.objects
    assert file.at("kept")["a"][3] == 3
    with pytest.raises(af.NotFoundError):
        file.at(2)
    assert file.verify(statistics=True).is_clean and list(file) == ["g"]


def test_compacting(path: str) -> None:
    file = three_versions(path)
    assert file.num_layers > 1 or file.usage.dead_bytes == 0
    file["g/c"] = 5
    number = file.compact(keep_versions=True)
    assert file.version == number and file.num_layers == 1 and file.has_pending
    assert file["g/c"][()] == 5 and "g/c" not in af.open(path)
    assert file.at(1)["a"][3] == 3
    file.commit()
    file.compact()
    usage = file.usage
    assert usage.dead_bytes == 0 and usage.layer_bytes >= usage.block_bytes > 0
    assert sorted(file["g"]) == ["b", "c"]
    assert file.verify().is_clean


def test_verify_counts(path: str) -> None:
    report = three_versions(path).verify(statistics=True)
    assert report.is_clean and report.damage == []
    assert report.versions >= 3 and report.layers >= 3 and report.chunks >= 1 and report.pages and report.blocks and report.nodes


def test_refresh_goes_to_the_newest(path: str) -> None:
    file = three_versions(path)
    reader = af.open(path)
    assert not reader.refresh()
    file["new"] = 1
    file.commit()
    assert "new" not in reader and reader.refresh() and "new" in reader


def test_workers_write_and_one_commits(path: str) -> None:
    with af.open(path, "w") as file:
        file.create_array("a", shape=6, dtype="i8", chunks=2)
    workers = [pickle.loads(pickle.dumps(af.open(path, "r+"))) for _ in range(3)]
    receipts = []
    for i, worker in enumerate(workers):
        worker["a"][2 * i : 2 * i + 2] = [i + 1, i + 1]
        receipts.append(worker.detach())
        assert not worker.has_pending and worker["a"][...].tolist() == [0] * 6
    assert all(isinstance(r, bytes) for r in receipts) and af.open(path)["a"][...].tolist() == [0] * 6
    file = af.open(path, "r+")
    file.join(receipts)
    assert file.has_pending
    file.commit("all workers")
    assert af.open(path)["a"][...].tolist() == [1, 1, 2, 2, 3, 3] and len(af.open(path).versions()) == 3


def test_workers_that_write_the_same_chunk_conflict(path: str) -> None:
    with af.open(path, "w") as file:
        file["a"] = [0, 0]
    receipts = []
    for i in range(2):
        worker = af.open(path, "r+")
        worker["a"][i] = 5
        receipts.append(worker.detach())
    file = af.open(path, "r+")
    with pytest.raises(af.ConflictError):
        file.join(receipts)
    assert not file.has_pending
    file.abandon(receipts)
    with pytest.raises(af.ArrayFormatError):
        file.join(receipts[:1])
    assert af.open(path)["a"][...].tolist() == [0, 0]
    for nonsense in (b"", b"x" * 100):
        with pytest.raises(af.ArrayFormatError):
            file.join([nonsense])
    assert file.gc().swept == 0


def test_copying_from_another_file_and_version(path: str, tmp_path) -> None:
    source = three_versions(path)
    other = af.open(tmp_path / "other.af", "w")
    values = np.ma.MaskedArray(["a", "b"], [True, False], dtype=object)
    source.create_array("n", values, attrs={"x": 1, "d": {"y": 2}}, dims=("t",))
    source.create_array("m", np.zeros(2, "M8[M]"))
    source.commit()
    copied = other.create_group("deep").copy_from(source.at(1)["a"])
    assert copied.path == "deep/a" and copied[...].tolist() == [0, 1, 2, 3, 4, 5] and copied.chunks == (2,)
    other["n"] = source["n"]
    assert other["n"][...].tolist() == [None, "b"] and other["n"].dims == ("t",) and other["n"].attrs["d"] == {"y": 2}
    assert other.copy_from(source["m"], "m2").dtype == "M8[M]"
    other.commit()
    assert other.verify(statistics=True).is_clean
