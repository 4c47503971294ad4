"""What runs do by themselves: go on when a full disk has space, name their adapter, see few rows often."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.bus import Bus
from engine.data import own
from engine.lanes import Lane
from engine.models.adapters import NOTE
from engine.protocol.commands import QAPair, ResumeRun
from engine.protocol.errors import ErrorInfo
from engine.protocol.runs import RunInfo, TrainSpec
from engine.runs import folder, room
from engine.runs.book import RunBook
from engine.runs.findings import Watcher
from engine.runs.naming import name_result
from engine.runs.room import RoomWatch
from engine.workers.training.lesson import step_count

SPEC = TrainSpec("demo", "shipped:pirate", name="legal-r16")


async def parked(book: RunBook, code: str) -> RunInfo:
    """A run that stands still on disk, for this reason."""
    info = await book.add(RunInfo(id="", spec=SPEC, name=SPEC.name, created=1.0))
    info = replace(info, state="paused", pause="park", error=ErrorInfo(code, "It stands still"))
    return await book.end(info)


async def test_a_run_that_a_full_disk_parked_goes_on_when_there_is_space(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    disk = Lane("disk")
    book = RunBook(Bus(), disk)
    resumed: list[str] = []
    space = asyncio.Event()

    async def resume(command: ResumeRun) -> RunInfo:
        resumed.append(command.run)
        return await book.end(replace(book.find(command.run), state="queued", error=None))

    monkeypatch.setattr(room, "has_room", lambda place: space.is_set() and place.is_dir())
    monkeypatch.setenv("QWILL_ROOM_SECONDS", "0.01")
    full, other = await parked(book, "disk_full"), await parked(book, "data_changed")
    watch = RoomWatch(book, disk, resume)
    await watch.look()
    assert resumed == []
    space.set()
    watch.open()
    async with asyncio.timeout(10):
        while not resumed:
            await asyncio.sleep(0.01)
    watch.close()
    assert resumed == [full.id]
    assert book.find(other.id).state == "paused"
    disk.close()


def test_space_means_more_than_the_run_writes_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert room.has_room(tmp_path)
    monkeypatch.setattr(room, "LEAST", 1 << 60)
    assert not room.has_room(tmp_path)
    assert not room.has_room(tmp_path / "gone")


def test_a_renamed_run_renames_its_adapter_and_keeps_the_rest_of_the_note() -> None:
    info = folder.create(RunInfo(id="", spec=SPEC, name="legal-r16", created=1.0))
    note = folder.folder(info.id) / folder.ADAPTER / NOTE
    note.parent.mkdir()
    note.write_text(json.dumps({"name": "legal-r16", "method": "dora"}))
    name_result(replace(info, name="court"))
    assert json.loads(note.read_text())["name"] == "legal-r16"  # nothing was saved yet
    name_result(replace(info, name="court", adapter=info.id))
    assert json.loads(note.read_text()) == {"name": "court", "method": "dora"}


@pytest.mark.parametrize(
    ("examples", "changes", "steps"),
    [
        (30, {}, 104),
        (4, {}, 15),
        (4000, {}, 3000),
        (30, {"batch": 1, "accumulate": 8}, 57),
        (30, {"objective": "dpo"}, 24),
        (30, {"epochs": 2.0}, 16),
        (30, {"steps": 7}, 7),
    ],
)
def test_few_rows_are_seen_often_unless_somebody_said_how_often(
    examples: int, changes: dict[str, object], steps: int
) -> None:
    assert step_count(replace(SPEC, **changes), examples) == steps


def test_a_run_that_stands_still_is_told_once_and_not_before_its_first_step() -> None:
    watcher = Watcher()
    assert watcher.waits(0, 0.0, 1e6) is None
    assert watcher.waits(9, 0.5, 30.0) is None
    found = watcher.waits(9, 0.5, 61.0)
    assert found is not None
    assert (found.code, found.step) == ("stalled", 9)
    assert watcher.waits(9, 0.5, 600.0) is None


def test_of_a_dataset_that_is_saved_while_it_is_typed_the_last_five_versions_stay() -> None:
    for count in range(1, 10):
        own.save("faq", [QAPair("q" * count, "a")])
    kept = own.path_of("faq").parent
    assert len(list(kept.glob("faq.*.jsonl"))) == own.KEPT == 5
    own.save("faq.two", [QAPair("q", "a")])
    assert own.path_of("faq").read_text().count("\n") == 1
