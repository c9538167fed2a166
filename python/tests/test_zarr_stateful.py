"""Zarr's own state machines through `array_format.zarr.Store`: keys against a dictionary, hierarchies against a store in memory.

One rule differs. What an array loses by being made smaller is gone here; other stores keep it in the chunks at the edge, and show it again
when the array becomes larger. `resize_array` takes it out of the model.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

zarr = pytest.importorskip("zarr")

from hypothesis import HealthCheck, Verbosity, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test
from zarr.testing.stateful import ZarrHierarchyStateMachine, ZarrStoreStateMachine

from array_format.zarr import Store

_files = itertools.count()
_settings = settings(
    deadline=None,
    max_examples=30,
    stateful_step_count=30,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
    verbosity=Verbosity.normal,
)


def _store() -> Store:
    return Store(f"memory://stateful-{next(_files)}.af")


class Keys(ZarrStoreStateMachine):
    def __init__(self) -> None:
        super().__init__(_store())

    def teardown(self) -> None:
        _whole(self.store.store)


class Hierarchy(ZarrHierarchyStateMachine):
    def __init__(self) -> None:
        super().__init__(_store())

    @precondition(lambda self: bool(self.all_arrays))
    @rule(data=st.data())
    def resize_array(self, data: Any) -> None:
        before = {path: zarr.open_array(path=path, store=self.model).shape for path in self.all_arrays}
        super().resize_array(data)
        for path, shape in before.items():
            array = zarr.open_array(path=path, store=self.model)
            if array.shape != shape:
                self._cut(array)

    def _cut(self, array: zarr.Array) -> None:
        """Makes the chunks at the edge the fill value beyond it."""
        for coords in np.ndindex(array.cdata_shape):
            key = f"{array.path}/{array.metadata.encode_chunk_key(coords)}"
            if array.nbytes and key in self.model._store_dict:
                box = tuple(slice(k * c, min((k + 1) * c, n)) for k, c, n in zip(coords, array.chunks, array.shape, strict=True))
                values = array[box]
                self._sync(self.model.delete(key))
                with zarr.config.set({"array.write_empty_chunks": True}):
                    zarr.open_array(path=array.path, store=self.model)[box] = values

    def teardown(self) -> None:
        _whole(self.store)


def _whole(store: Store) -> None:
    """What was written is sound, and the same when the file is opened again."""
    store.commit()
    assert store.file.verify(statistics=True).is_clean
    store.close()


@pytest.mark.parametrize("machine", [Keys, Hierarchy])
@pytest.mark.filterwarnings("ignore")
def test_state_machine(machine: Any) -> None:
    run_state_machine_as_test(machine, settings=_settings)
