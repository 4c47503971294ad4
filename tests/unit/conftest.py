"""What the tests of the hub share: one on loopback with a tiny model, and the engine's side of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.fake_hub import FakeHub, fake_hub
from tests.support.hub_bench import Bench, reach, stock


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    with fake_hub() as hub:
        stock(hub, tmp_path / "tiny")
        reach(hub, monkeypatch)
        yield hub


@pytest.fixture
async def bench(hub: FakeHub) -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.close()
