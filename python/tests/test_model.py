"""Whatever is done to a file through the package, it is what a dictionary of numpy arrays would be."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

import array_format as af

EXAMPLES = int(os.environ.get("AF_MODEL_CASES", "40"))
"""Sequences of operations; more in the long form."""

NAMES = ["a", "b", "g/a", "g/h/a", "g/h/b"]
GROUPS = ["g", "g/h", "e"]
DTYPES = ["i4", "f8", "?", "M8[us]", "M8[D]", "U3", "string", "u1"]

names, groups = st.sampled_from(NAMES), st.sampled_from(GROUPS)
seeds = st.integers(0, 2**32 - 1)


@dataclass
class Node:
    """An array of the model: masked where elements can be missing."""

    values: np.ndarray
    nullable: bool
    attrs: dict[str, Any] = field(default_factory=dict)

    def copy(self) -> Node:
        return Node(self.values.copy(), self.nullable, dict(self.attrs))


@dataclass
class State:
    """A version of the model's file."""

    arrays: dict[str, Node] = field(default_factory=dict)
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)
    attrs: dict[str, Any] = field(default_factory=dict)

    def copy(self) -> State:
        return State({k: v.copy() for k, v in self.arrays.items()}, {k: dict(v) for k, v in self.groups.items()}, dict(self.attrs))


def some_values(rng: np.random.Generator, dtype: str, shape: tuple[int, ...], nullable: bool) -> np.ndarray:
    numbers = rng.integers(0, 2 if dtype == "?" else 200, shape)
    values = numbers.astype(str).astype(object) if dtype == "string" else numbers.astype("i8").astype(dtype)
    values = values.astype(np.dtypes.StringDType()) if dtype == "string" else values
    return np.ma.MaskedArray(values, rng.random(shape) < 0.3) if nullable else values


def empty(dtype: np.dtype, shape: tuple[int, ...], nullable: bool) -> np.ndarray:
    """What was never written: null, NaT, zero or an empty text."""
    if nullable:
        return np.ma.MaskedArray(np.zeros(shape, dtype), np.ones(shape, bool))
    return np.full(shape, np.array("NaT", dtype)) if dtype.kind in "Mm" else np.zeros(shape, dtype)


def same(found: Any, expected: Any) -> bool:
    if np.shape(found) != np.shape(expected):
        return False
    masks = np.ma.getmaskarray(found), np.ma.getmaskarray(expected)
    if not np.array_equal(*masks):
        return False
    one, other = np.ma.getdata(found)[~masks[0]], np.ma.getdata(expected)[~masks[1]]
    return np.array_equal(one, other, equal_nan=other.dtype.kind in "fM")


def under(path: str, top: str) -> bool:
    return path == top or path.startswith(top + "/")


class Model(RuleBasedStateMachine):
    """One writer with all that it can do, and readers of older versions."""

    tags = Bundle("tags")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.path = self.folder + "/run.af"
        self.file = af.open(self.path, "w")
        self.other = af.open(self.folder + "/other.af", "w")
        self.other["source"] = np.arange(12).reshape(3, 4)
        self.other["source"].attrs["units"] = "m"
        self.other.commit()
        self.now = State()
        self.versions: dict[int, State] = {self.file.version: State()}

    def teardown(self) -> None:
        for file in (self.file, self.other):
            if not file.closed and file.has_pending:
                file.discard()
            file.close()
        shutil.rmtree(self.folder)

    # What is there.

    def taken(self, path: str) -> bool:
        """Whether there is something that an array at `path` would collide with."""
        parents = ["/".join(path.split("/")[:i]) for i in range(1, path.count("/") + 1)]
        return any(p in self.now.arrays for p in [path, *parents]) or self.is_group(path)

    def is_group(self, path: str) -> bool:
        return any(under(p, path) and p != path for p in self.now.arrays) or any(under(p, path) for p in self.now.groups)

    def pick(self, seed: int) -> tuple[str, Node, np.random.Generator]:
        rng = np.random.default_rng(seed)
        name = sorted(self.now.arrays)[rng.integers(len(self.now.arrays))]
        return name, self.now.arrays[name], rng

    # Making and taking away.

    @rule(name=names, dtype=st.sampled_from(DTYPES), seed=seeds, nullable=st.booleans(), with_data=st.booleans())
    def create(self, name: str, dtype: str, seed: int, nullable: bool, with_data: bool) -> None:
        rng = np.random.default_rng(seed)
        shape = tuple(int(n) for n in rng.integers(0, 7, int(rng.integers(0, 4))))
        chunks = None if rng.random() < 0.5 else [int(n) for n in rng.integers(1, 5, len(shape))]
        values = some_values(rng, dtype, shape, nullable)
        make = {"chunks": chunks, "dtype": dtype, "nullable": nullable, "attrs": {"made": int(seed)}}
        if self.taken(name):
            with pytest.raises(af.ArrayFormatError) as caught:
                self.file.create_array(name, values, **make)
            assert caught.value.kind in ("already_exists", "invalid_argument")
            if name not in self.now.arrays:
                return
        array = self.file.create_array(name, values if with_data else None, shape=shape, overwrite=name in self.now.arrays, **make)
        model = values if with_data else empty(array.dtype, shape, nullable)
        self.now.arrays[name] = Node(model.copy(), nullable, {"made": int(seed)})

    @precondition(lambda self: self.now.arrays)
    @rule(seed=seeds)
    def replace(self, seed: int) -> None:
        name, node, rng = self.pick(seed)
        shape = node.values.shape if rng.random() < 0.5 else tuple(int(n) for n in rng.integers(0, 6, 2))
        values = rng.integers(0, 9, shape)
        self.file[name] = values
        same_type = node.values.dtype == values.dtype and not node.nullable
        self.now.arrays[name] = Node(values.copy(), False, node.attrs)
        assert same_type or self.file[name].dtype == values.dtype

    @rule(name=st.one_of(names, groups))
    def delete(self, name: str) -> None:
        if name not in self.now.arrays and not self.is_group(name):
            with pytest.raises(KeyError):
                del self.file[name]
            return
        del self.file[name]
        self.now.arrays = {k: v for k, v in self.now.arrays.items() if not under(k, name)}
        self.now.groups = {k: v for k, v in self.now.groups.items() if not under(k, name)}

    @rule(old=st.one_of(names, groups), new=st.one_of(names, groups))
    def rename(self, old: str, new: str) -> None:
        there = old in self.now.arrays or self.is_group(old)
        if not there or self.taken(new) or under(new, old):
            if old != new:
                with pytest.raises(af.ArrayFormatError):
                    self.file.rename(old, new)
            return
        self.file.rename(old, new)
        self.now.arrays = {new + k[len(old) :] if under(k, old) else k: v for k, v in self.now.arrays.items()}
        self.now.groups = {new + k[len(old) :] if under(k, old) else k: v for k, v in self.now.groups.items()}

    @rule(name=groups)
    def group(self, name: str) -> None:
        parents = ["/".join(name.split("/")[:i]) for i in range(1, name.count("/") + 2)]
        if any(p in self.now.arrays for p in parents):
            with pytest.raises(af.ArrayFormatError):
                self.file.create_group(name)
            return
        self.file.require_group(name)
        for parent in parents[-1:]:
            self.now.groups.setdefault(parent, {})

    @rule(name=names)
    def copy_in(self, name: str) -> None:
        if self.taken(name):
            with pytest.raises(af.ArrayFormatError):
                self.file.copy_from(self.other["source"], name)
            return
        self.file.copy_from(self.other["source"], name)
        self.now.arrays[name] = Node(np.arange(12).reshape(3, 4), False, {"units": "m"})

    # Elements.

    @precondition(lambda self: self.now.arrays)
    @rule(seed=seeds, how=st.sampled_from(["basic", "oindex", "vindex"]))
    def assign(self, seed: int, how: str) -> None:
        name, node, rng = self.pick(seed)
        array, shape = self.file[name], node.values.shape
        dtype = "string" if array.element_type == "string" and array.dtype.kind == "T" else array.dtype.str
        if how == "basic":
            key: Any = tuple(slice(*(int(n) for n in rng.integers(-7, 8, 2)), int(rng.choice([1, 2, -1]))) for _ in shape)
            new = some_values(rng, dtype, node.values[key].shape, node.nullable)
            array[key] = new
            node.values[key] = new
        elif how == "oindex" and shape and 0 not in shape:
            lists = [rng.integers(-n, n, 3) for n in shape]
            mesh = np.ix_(*lists)
            new = some_values(rng, dtype, (3,) * len(shape), node.nullable)
            array.oindex[tuple(lists)] = new
            node.values[mesh] = new
        elif how == "vindex" and shape:
            mask = rng.random(shape) < 0.4
            new = some_values(rng, dtype, (int(mask.sum()),), node.nullable)
            array.vindex[mask] = new
            node.values[mask] = new

    @precondition(lambda self: self.now.arrays)
    @rule(seed=seeds)
    def resize(self, seed: int) -> None:
        name, node, rng = self.pick(seed)
        shape = tuple(int(n) for n in rng.integers(0, 8, node.values.ndim))
        self.file[name].resize(shape)
        grown = empty(node.values.dtype, shape, node.nullable)
        kept = tuple(slice(0, min(a, b)) for a, b in zip(shape, node.values.shape, strict=True))
        grown[kept] = node.values[kept]
        node.values = grown

    @precondition(lambda self: self.now.arrays)
    @rule(seed=seeds)
    def append(self, seed: int) -> None:
        name, node, rng = self.pick(seed)
        array = self.file[name]
        if node.values.ndim == 0:
            with pytest.raises(af.InvalidArgumentError):
                array.append([1])
            return
        axis = int(rng.integers(-node.values.ndim, node.values.ndim))
        shape = list(node.values.shape)
        shape[axis] = int(rng.integers(0, 4))
        dtype = "string" if array.dtype.kind == "T" else array.dtype.str
        new = some_values(rng, dtype, tuple(shape), node.nullable)
        array.append(new, axis)
        node.values = (np.ma if node.nullable else np).concatenate([node.values, new], axis)

    # Attributes.

    @rule(key=st.sampled_from(["x", "y"]), seed=seeds, value=st.sampled_from([1, 2.5, "text", None, True, [1, "a"], b"x", {"a": 1}]))
    def set_attribute(self, key: str, seed: int, value: Any) -> None:
        for attrs, model in self.attributes(seed):
            attrs[key] = value
            model[key] = value

    @rule(key=st.sampled_from(["x", "y", "made"]), seed=seeds)
    def delete_attribute(self, key: str, seed: int) -> None:
        for attrs, model in self.attributes(seed):
            if key in model:
                del attrs[key], model[key]
            else:
                with pytest.raises(KeyError):
                    del attrs[key]

    def attributes(self, seed: int) -> list[tuple[af.Attributes, dict[str, Any]]]:
        """The attributes of one node, and the model's."""
        paths = ["", *sorted(self.now.arrays), *sorted(self.now.groups)]
        path = paths[seed % len(paths)]
        model = self.now.attrs if not path else self.now.arrays[path].attrs if path in self.now.arrays else self.now.groups[path]
        return [((self.file[path] if path else self.file).attrs, model)]

    # Versions.

    @rule()
    def commit(self) -> None:
        number = self.file.commit("of the model")
        self.versions[number] = self.now.copy()

    @rule()
    def discard(self) -> None:
        self.file.discard()
        self.now = self.versions[self.file.version].copy()

    @rule(fails=st.booleans(), seed=seeds)
    def transaction(self, fails: bool, seed: int) -> None:
        if self.file.has_pending:
            with pytest.raises(af.InvalidArgumentError), self.file.transaction():
                raise AssertionError("it began")
            return
        before = self.now.copy()
        try:
            with self.file.transaction("all of it"):
                self.create("a", "i4", seed, False, True)
                self.set_attribute("x", seed, "in a transaction")
                if self.now.arrays:
                    self.resize(seed)
                if fails:
                    raise ZeroDivisionError
        except ZeroDivisionError:
            self.now = before
        else:
            self.versions[self.file.version] = self.now.copy()
        assert not self.file.has_pending

    @rule(fails=st.booleans())
    def reopen(self, fails: bool) -> None:
        """A with statement commits at its end, or discards after an exception."""
        try:
            with self.file:
                if fails:
                    raise ZeroDivisionError
        except ZeroDivisionError:
            self.file = af.open(self.path, "r+")
            self.now = self.versions[self.file.version].copy()
        else:
            self.file = af.open(self.path, "a")
            self.versions[self.file.version] = self.now.copy()

    @rule(keep=st.booleans(), incremental=st.booleans())
    def compact(self, keep: bool, incremental: bool) -> None:
        pending = self.file.has_pending
        committed = self.versions[self.file.version]
        self.file.compact(keep_versions=keep, incremental=incremental)
        assert self.file.has_pending == pending
        self.upkeep(committed)

    @rule(last=st.integers(1, 3), dry_run=st.booleans())
    def collect(self, last: int, dry_run: bool) -> None:
        before = {v.number for v in self.file.versions()}
        committed = self.versions[self.file.version]
        self.file.gc(keep_last=last, dry_run=dry_run)
        after = {v.number for v in self.file.versions()}
        assert before == after if dry_run else self.file.version in after
        self.upkeep(committed)

    def upkeep(self, committed: State) -> None:
        """A compaction and a collection are versions, too, and older ones may be gone."""
        there = {v.number for v in self.file.versions()} | {self.file.version}
        self.versions = {n: self.versions.get(n, committed) for n in there}

    @rule(target=tags, name=st.sampled_from(["first", "second"]))
    def tag(self, name: str) -> str:
        if self.file.version and not self.file.has_pending:
            committed = self.versions[self.file.version]
            tagged = self.file.version
            self.file.tag(name)
            assert self.file.at(name).version == tagged
            self.versions[self.file.version] = committed.copy()
        return name

    @rule(seed=seeds)
    def read_an_older_version(self, seed: int) -> None:
        there = sorted(set(self.versions) & {v.number for v in self.file.versions()})
        number = there[seed % len(there)]
        older = self.file.at(number)
        check(older, self.versions[number])
        with pytest.raises(af.PermissionDeniedError):
            older.attrs["x"] = 1
        older.close()

    @rule()
    def verify(self) -> None:
        report = self.file.verify(statistics=True)
        assert report.is_clean, report.damage

    @invariant()
    def reads_what_the_model_has(self) -> None:
        check(self.file, self.now)


def check(file: af.File, expected: State) -> None:
    arrays = file.arrays(recursive=True)
    assert sorted(arrays) == sorted(expected.arrays)
    for name, array in arrays.items():
        node = expected.arrays[name]
        assert array.nullable == node.nullable and array.shape == node.values.shape
        assert same(array[...], node.values), (name, array[...], node.values)
        assert array.attrs == node.attrs
        assert array.stats.size == node.values.size
    assert dict(file.attrs) == expected.attrs
    for name, attrs in expected.groups.items():
        assert dict(file[name].attrs) == attrs
    top = {p.partition("/")[0] for p in [*expected.arrays, *expected.groups]}
    assert set(file) == top and len(file) == len(top)


TestModel = Model.TestCase
TestModel.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
    phases=[Phase.reuse, Phase.generate, *([Phase.shrink] if os.environ.get("AF_MODEL_SHRINK") else [])],
)
