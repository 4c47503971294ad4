"""A run of another engine brought here: its curve and adapter, whole, verified, once, and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from engine.api import EngineError, EngineLost, ErrorInfo, commands, runs
from engine.demo import MODEL_FOLDER
from engine.parcels import depot, handed
from engine.parcels.bring import bring
from engine.runs import folder as run_folder
from engine.runs import log
from tests.support.echo_backend import Desk, echo_engine
from tests.support.model_folders import adapter_folder

RUN = "0007-pirate"


def quiet(_done: int, _total: int) -> None:
    """Nobody watches."""


@pytest.fixture
async def desk(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    async with echo_engine(monkeypatch) as opened:
        yield opened


class Far:
    """Another engine's answers: it has one run, and may lie about its files."""

    def __init__(self, place: Path) -> None:
        self.place = place
        spec = runs.TrainSpec("demo", "/data/pirate.jsonl", name="pirate", steps=20)
        self.run = runs.RunInfo(RUN, spec, "pirate", "done", "end", 20, 20, 0.5, created=5.0, adapter=RUN)
        self.lies: tuple[commands.KeptFile, ...] | None = None
        self.cut_after: int | None = None
        self.reads = 0
        adapter_folder(place / "adapter", MODEL_FOLDER)
        writer = log.LogWriter(place / log.NAME)
        for step in range(1, 21):
            writer.point(runs.StepPoint(step, loss=1 / step))
        writer.close()
        (place / "info.json").write_text("{}")
        (place / "checkpoints").mkdir()
        (place / "checkpoints" / "state.json").write_text("{}")

    async def request(self, command: Any) -> Any:
        if isinstance(command, commands.ListFiles):
            listed = self.lies if self.lies is not None else handed.of_run(self.place)
            return commands.FileList("run", RUN, listed, self.run)
        assert isinstance(command, commands.ReadFile)
        self.reads += 1
        if self.cut_after is not None and self.reads > self.cut_after:
            raise EngineLost(ErrorInfo("engine_lost", "The line was cut"))
        return commands.FilePart(handed.read(self.place, command.name, command.offset, command.limit))


@pytest.fixture
def far(tmp_path: Path) -> Far:
    return Far(tmp_path / "far")


async def test_a_run_comes_home_with_its_curve_and_an_adapter_that_fits_the_model_here(
    desk: Desk, far: Far
) -> None:
    told: list[tuple[int, int]] = []
    info = await bring(far, desk.client, RUN, "box", lambda done, total: told.append((done, total)))
    assert (info.origin, info.state, info.step) == (f"box/{RUN}", "done", 20)
    assert info.id == "0001-pirate"
    assert told[-1][0] == told[-1][1] > 0
    page = await desk.ask(commands.ReadRun(info.id))
    assert [point.step for point in page.points] == list(range(1, 21))
    [adapter] = (await desk.ask(commands.ListAdapters())).adapters
    assert (adapter.id, adapter.base, adapter.why) == (info.id, "demo", "")
    place = run_folder.folder(info.id)
    assert sorted(path.name for path in place.iterdir()) == [
        "adapter",
        "events.jsonl",
        "info.json",
        "run.toml",
    ]
    assert all(path.stat().st_mode & 0o077 == 0 for path in place.rglob("*"))
    assert not [each for each in depot.depot_dir().iterdir() if each.name != "incoming"]
    kept = msgspec.json.decode((place / "info.json").read_bytes(), type=runs.RunInfo)
    assert kept == info


async def test_the_same_run_again_is_the_one_that_is_here_and_a_further_one_takes_its_place(
    desk: Desk, far: Far
) -> None:
    first = await bring(far, desk.client, RUN, "box", quiet)
    assert await bring(far, desk.client, RUN, "box", quiet) == first
    far.run = replace(far.run, step=30, steps=30)
    second = await bring(far, desk.client, RUN, "box", quiet)
    assert second.id != first.id
    assert [info.id for info in (await desk.ask(commands.ListRuns())).runs] == [second.id]
    await desk.ask(commands.DeleteRun(first.id, restore=True))  # the earlier one is in the trash
    other = await bring(far, desk.client, RUN, "attic", quiet)
    assert other.id not in (first.id, second.id)


async def test_a_run_that_trains_still_comes_as_far_as_it_is(desk: Desk, far: Far) -> None:
    far.run = replace(far.run, state="running", phase="train", step=10, pause="hold", place=1)
    info = await bring(far, desk.client, RUN, "box", quiet)
    assert (info.state, info.phase, info.pause, info.place) == ("stopped", "end", "", 0)


async def test_a_cut_in_the_middle_goes_on_where_it_stopped(
    desk: Desk, far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.parcels.pacing.FIRST", 1000)
    monkeypatch.setattr("engine.parcels.pacing.PART", 1000)
    monkeypatch.setattr("engine.parcels.pacing.LEAST", 1000)
    far.cut_after = 3
    with pytest.raises(EngineLost):
        await bring(far, desk.client, RUN, "box", quiet)
    assert (await desk.ask(commands.ListRuns())).runs == ()
    far.cut_after = None
    at = far.reads
    info = await bring(far, desk.client, RUN, "box", quiet)
    size = sum(each.size for each in handed.of_run(far.place))
    assert far.reads - at <= size // 1000 + len(handed.of_run(far.place)) - 2
    assert info.adapter == info.id


@pytest.mark.parametrize(
    "name",
    ["../../evil.json", "/etc/x.json", "a\0.json", "adapter/../../x.json", "adapter/run.py", ".x.json",
     "adapter/adapter_model.bin", "info.json", "run.toml"],
)  # fmt: skip
async def test_names_from_the_far_side_that_must_not_reach_the_disk_are_refused(
    name: str, desk: Desk, far: Far, home: Path
) -> None:
    data = b"{}"
    far.lies = (commands.KeptFile(name, len(data), hashlib.sha256(data).hexdigest()),)
    before = {path for path in home.rglob("*") if path.is_file() and "parcels" not in str(path)}
    with pytest.raises(EngineError) as caught:
        await bring(far, desk.client, RUN, "box", quiet)
    assert caught.value.info.code in ("parcel_wrong", "file_unknown", "parcel_damaged")
    after = {path for path in home.rglob("*") if path.is_file() and "parcels" not in str(path)}
    assert {path.name for path in after - before} <= {"qwill.db-wal", "qwill.db-shm", "engine.log"}
    assert (await desk.ask(commands.ListRuns())).runs == ()


async def test_the_engine_itself_refuses_what_a_client_should_have(desk: Desk, far: Far) -> None:
    good = "ab" * 32
    for files, origin in (
        ((commands.KeptFile("../x.json", 1, good),), f"box/{RUN}"),
        ((commands.KeptFile("x.json", 1, "../../x"),), f"box/{RUN}"),
        ((commands.KeptFile("x.json", 1, good),) * 2, f"box/{RUN}"),
        ((), "box/../../x"),
        ((), f"b\x1bx/{RUN}"),
    ):
        with pytest.raises(EngineError) as caught:
            await desk.ask(commands.KeepRun(far.run, files, origin))
        assert caught.value.info.code == "parcel_wrong", (files, origin)
    with pytest.raises(EngineError) as caught:
        await desk.ask(commands.KeepRun(far.run, (commands.KeptFile("x.json", 1, good),), f"box/{RUN}"))
    assert caught.value.info.code == "parcel_missing"


async def test_bytes_that_are_not_those_that_were_listed_are_refused(desk: Desk, far: Far) -> None:
    listed = handed.of_run(far.place)
    far.lies = tuple(replace(each, sha256=hashlib.sha256(each.name.encode()).hexdigest()) for each in listed)
    with pytest.raises(EngineError) as caught:
        await bring(far, desk.client, RUN, "box", quiet)
    assert caught.value.info.code == "parcel_damaged"
    assert (await desk.ask(commands.ListRuns())).runs == ()
