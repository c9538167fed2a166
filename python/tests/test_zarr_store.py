"""Zarr's own tests of stores, `zarr.testing.store.StoreTests`, through `array_format.zarr.Store`.

Skipped: the five of the synchronous protocols (`SupportsGetSync`, `SupportsSetSync`, `SupportsDeleteSync`), which the store does not have:
Zarr 3.1 does not use them yet, and its codecs are asynchronous.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

pytest.importorskip("zarr")

from zarr.core.buffer import Buffer, cpu
from zarr.testing.store import StoreTests

from array_format.zarr import Store, _others


class TestStore(StoreTests[Store, cpu.Buffer]):
    store_cls = Store
    buffer_cls = cpu.Buffer

    async def set(self, store: Store, key: str, value: Buffer) -> None:
        session = store._shared()
        session.change(lambda: _others.put(session.handle, key, value.to_bytes()), False)

    async def get(self, store: Store, key: str) -> Buffer:
        return self.buffer_cls.from_bytes(_others.get(store.file._handle, key))

    @pytest.fixture
    def store_kwargs(self, tmp_path: Path) -> dict[str, Any]:
        url = str(tmp_path / "store.af")
        with Store(url) as store:  # one that is to be read must be there
            store._shared()
        return {"url": url}

    @pytest_asyncio.fixture
    async def store(self, open_kwargs: dict[str, Any]) -> Store:
        return await self.store_cls.open(**open_kwargs)

    @pytest_asyncio.fixture
    async def store_not_open(self, store_kwargs: dict[str, Any]) -> Store:
        return self.store_cls(**store_kwargs)

    def test_store_repr(self, store: Store) -> None:
        assert repr(store) == f"Store({store.url!r})" and str(store) == store.url

    def test_store_supports_writes(self, store: Store) -> None:
        assert store.supports_writes

    def test_store_supports_listing(self, store: Store) -> None:
        assert store.supports_listing


for _name, _test in inspect.getmembers(StoreTests, inspect.iscoroutinefunction):
    if _name.startswith("test_"):
        pytest.mark.asyncio(_test)
