"""The engine's side of the hub with real lanes and a real shelf, asked as the host asks it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from engine.bus import Bus, Outbox
from engine.hub import job, places
from engine.hub.hub import Hub
from engine.lanes import Lane
from engine.protocol import commands as c
from engine.protocol.events import AnyBody
from engine.protocol.hub import DownloadInfo
from engine.protocol.wire import Event
from engine.shelf import Shelf
from tests.support.fake_hub import FakeHub, FakeModel
from tests.support.model_folders import SHAPES, model_folder, safetensors

SECONDS = 15.0
ID = "Qwen/Tiny"
WEIGHTS = "model.safetensors"


class Bench:
    """One engine's worth of it; `close` leaves it as an engine does that ends."""

    def __init__(self) -> None:
        self.bus = Bus()
        self.lanes = Lane("model"), Lane("disk")
        self.shelf = Shelf(self.bus, *self.lanes, lambda: False)
        self.hub = Hub(self.bus, self.shelf, self.lanes[1])
        self.outbox: Outbox = self.bus.subscribe()
        self.told: list[AnyBody] = []

    async def news(self) -> list[AnyBody]:
        """All that was told so far."""
        if len(self.outbox):
            self.told += [item.body for item in await self.outbox.take() if isinstance(item, Event)]
        return self.told

    def find(self, id_: str) -> DownloadInfo:
        return next(info for info in self.hub.infos() if info.id == id_)

    async def until(self, check: Callable[[], Any]) -> Any:
        """What `check` says once it is true."""
        async with asyncio.timeout(SECONDS):
            while not (found := check()):
                await asyncio.sleep(0.005)
        return found

    async def ended(self, info: DownloadInfo) -> DownloadInfo:
        """The download, once nothing of it is under way."""
        await self.until(lambda: not self.find(info.id).live and not self.hub.busy)
        return self.find(info.id)

    async def pull(self, model: str, *files: str, revision: str = "") -> DownloadInfo:
        """Download, to the end whatever it is."""
        return await self.ended(await self.hub.start(c.StartDownload(model, revision, files)))

    async def close(self) -> None:
        await self.hub.close()
        for lane in self.lanes:
            lane.close()

    # --- as a client of the command line ----------------------------------------------------

    async def request(self, command: Any) -> Any:
        """What the host would answer."""
        hub = self.hub
        table: dict[type, Callable[..., Any]] = {
            c.SearchHub: hub.search,
            c.ShowHubModel: hub.show,
            c.StartDownload: hub.start,
            c.CancelDownload: hub.cancel,
            c.ListDownloads: hub.listing,
            c.DeleteCached: hub.delete,
        }
        return await table[type(command)](command)

    async def events(self) -> AsyncIterator[Event]:
        """All that is told from the beginning on."""
        while True:
            for item in await self.outbox.take():
                assert isinstance(item, Event)
                yield item


def stock(hub: FakeHub, folder: Path) -> None:
    """A small whole model, and files beside it that nobody should take."""
    model_folder(folder)
    safetensors(folder / WEIGHTS, 0, SHAPES | {"model.embed_tokens.weight": [8192, 8]})
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    others = {"README.md": b"# Tiny", "pytorch_model.bin": b"pickle", "modeling_tiny.py": b"import os"}
    hub.models[ID] = FakeModel(files | others)


def reach(hub: FakeHub, monkeypatch: Any) -> None:
    """Let this process ask this hub and no other, at once when it fails, on a disk with room."""
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    monkeypatch.setattr(places, "RESERVE", 0)
    monkeypatch.setattr(job, "PAUSES", (0.01,) * len(job.PAUSES))


def snapshot(model: str = ID, sha: str = "a" * 40) -> Path:
    """Where the files of a commit lie."""
    return places.repo_folder(model) / "snapshots" / sha


def partial(hub: FakeHub, name: str = WEIGHTS) -> Path:
    """Where what came of a large file lies while it is unfinished."""
    blob = hashlib.sha256(hub.models[ID].files[name]).hexdigest()
    return places.repo_folder(ID) / "blobs" / f"{blob}.incomplete"


def came(hub: FakeHub) -> int:
    """Bytes of the weights that are on the disk, unfinished."""
    try:
        return partial(hub).stat().st_size
    except OSError:
        return 0
