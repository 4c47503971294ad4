"""The queue of runs, over the real lanes, shelf, bus and disk; only the trainer is a stand-in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from engine.bus import Bus, Outbox
from engine.lanes import Lane
from engine.models.folders import add_folder
from engine.protocol import commands as c
from engine.protocol import events as e
from engine.protocol.errors import EngineError, fault
from engine.protocol.runs import RunInfo, StepPoint, TrainSpec
from engine.runs import folder, log
from engine.runs.book import RunBook
from engine.runs.runner import Runner
from engine.runs.steering import Steering
from engine.shelf import Shelf
from tests.support.fake_trainer import FakeBackend, FakeTrainer
from tests.support.full_disk import file_limit
from tests.support.model_folders import adapter_folder, model_folder

SPEC = TrainSpec("base", "shipped:pirate", steps=30)


class Bench:
    """A runner, and what it told."""

    def __init__(self) -> None:
        self.bus = Bus()
        self.outbox: Outbox = self.bus.subscribe()
        self.backend = FakeBackend()
        self.lanes = [Lane("model"), Lane("training"), Lane("disk")]
        self.shelf = Shelf(self.bus, self.lanes[0], self.lanes[2], lambda: False)
        self.shelf.backend.set_result(self.backend)  # type: ignore[arg-type]
        self.runner = Runner(self.bus, self.shelf, self.lanes[1], self.lanes[2])
        self.steering = Steering(self.runner, self.shelf, self.lanes[2])
        self._told: list[e.AnyBody] = []

    @property
    def trainer(self) -> FakeTrainer:
        return self.backend.trainer

    async def told(self, kind: type) -> list[Any]:
        """All events of a type so far."""
        if len(self.outbox):
            self._told += [item.body for item in await self.outbox.take()]  # type: ignore[union-attr]
        return [body for body in self._told if isinstance(body, kind)]

    def info(self, run: str) -> RunInfo:
        return next(info for info in self.runner.infos() if info.id == run)

    async def ended(self, run: str) -> RunInfo:
        await until(lambda: self.info(run).state in ("done", "failed", "stopped"))
        return self.info(run)

    async def start(self, **changes: Any) -> RunInfo:
        return await self.runner.start(c.StartRun(replace(SPEC, **changes)))

    async def close(self) -> None:
        await self.runner.close()
        for lane in self.lanes:
            lane.close()


async def until(holds: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        await asyncio.sleep(0.005)


async def refused(work: Awaitable[Any]) -> str:
    with pytest.raises(EngineError) as caught:
        await work
    return caught.value.info.code


@asynccontextmanager
async def opened() -> AsyncIterator[Bench]:
    bench = Bench()
    await bench.shelf.refresh()
    await bench.runner.open()
    try:
        yield bench
    finally:
        bench.trainer.go.set()
        await bench.close()


@pytest.fixture(autouse=True)
def models(home: Path) -> Path:
    place = home / "models"
    model_folder(place / "base", seed=1)
    model_folder(place / "other", seed=2)
    model_folder(place / "plain", seed=3, chat=False)
    add_folder(place)
    return place


# --- a run ----------------------------------------------------------------------------------


async def test_a_run_goes_from_the_queue_to_an_adapter() -> None:
    async with opened() as bench:
        first = await bench.start()
        assert (first.id, first.state, first.name) == ("0001-pirate-r16", "queued", "pirate-r16")
        assert len(first.data_hash) == 64
        assert {"qwill", "torch"} <= set(first.versions)
        assert (first.spec.alpha, first.spec.rate > 0) == (32, True)
        info = await bench.ended(first.id)
        assert (info.state, info.step, info.steps, info.phase) == ("done", 30, 30, "end")
        assert (info.adapter, info.error, info.eval_loss) == (info.id, None, 1.0)
        assert info.peak > 1 << 20
        await until(lambda: len(bench.runner.adapters.infos()) == 1)
        [adapter] = bench.runner.adapters.infos()
        assert (adapter.id, adapter.base) == (info.id, first.spec.model)
        told = (await bench.told(e.AdaptersChanged))[-1]
        assert told.adapters == (adapter,)
        assert not bench.runner.busy


async def test_the_job_has_whole_paths_and_the_loaded_model(models: Path) -> None:
    async with opened() as bench:
        run = await bench.start()
        await bench.ended(run.id)
        [job] = bench.trainer.jobs
        assert Path(job.folder) == folder.folder(run.id)
        assert Path(job.data).name == "pirate.jsonl"
        assert job.model.state == "ready"
        assert bench.backend.loaded == [job.model.id] == [str(models / "base")]


async def test_runs_wait_for_each_other_in_the_order_they_were_started() -> None:
    async with opened() as bench:
        bench.trainer.go.clear()
        runs = [await bench.start(name=name) for name in ("a", "b", "c")]
        await until(lambda: bench.trainer.jobs)
        assert [info.state for info in bench.runner.infos()] == ["queued", "queued", "running"]
        assert bench.runner.model == runs[0].spec.model
        bench.trainer.go.set()
        await bench.ended(runs[2].id)
        assert [job.id for job in bench.trainer.jobs] == ["0001-a", "0002-b", "0003-c"]
        listed = await bench.runner.listing(c.ListRuns())
        assert [info.name for info in listed.runs] == ["c", "b", "a"]


async def test_every_step_is_in_the_log_before_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened() as bench:
        seen: list[tuple[object, bool]] = []
        publish = bench.bus.publish

        def watch(body: e.AnyBody) -> None:
            if isinstance(body, e.RunStepped | e.RunMarked):
                found = log.read(folder.log_path(body.run))
                item = body.point if isinstance(body, e.RunStepped) else body.mark
                seen.append((item, item in found.points or item in found.marks))
            publish(body)

        monkeypatch.setattr(bench.bus, "publish", watch)
        run = await bench.start()
        await bench.ended(run.id)
        assert all(there for _, there in seen)
        marks = [item.phase for item, _ in seen if not isinstance(item, StepPoint)]  # type: ignore[attr-defined]
        assert marks == ["waiting", "data", "first step", "eval", "eval", "eval"]
        page = await bench.runner.read(c.ReadRun(run.id))
        steps = [point.step for point in page.points if point.loss is not None]
        assert steps == list(range(1, 31))
        assert all(point.memory and point.at for point in page.points)
        assert [mark.phase for mark in page.marks] == marks
        assert all(mark.peak >= 1 << 20 for mark in page.marks)


async def test_fast_steps_are_told_ten_times_a_second_with_the_newest_last() -> None:
    async with opened() as bench:
        began = time.monotonic()
        run = await bench.start(steps=200)
        await bench.ended(run.id)
        stepped = [body.point for body in await bench.told(e.RunStepped)]
        training = [point for point in stepped if point.loss is not None]
        assert len(training) <= 12 * (time.monotonic() - began) + 2
        assert training[-1].step == 200
        assert sum(point.eval_loss is not None for point in stepped) == 20
        page = await bench.runner.read(c.ReadRun(run.id))
        assert sum(point.loss is not None for point in page.points) == 200


async def test_the_time_left_comes_from_the_last_steps() -> None:
    async with opened() as bench:

        def hold(job: Any, sink: Any, step: int) -> None:
            if step == 10:
                bench.trainer.go.clear()

        bench.trainer.at_step = hold
        run = await bench.start(steps=40)
        await until(lambda: bench.info(run.id).step == 10)
        info = bench.info(run.id)
        assert info.eta_s == pytest.approx(0.3)
        assert info.tokens_per_s == pytest.approx(10_000)


async def test_a_reader_gets_the_curve_in_pages() -> None:
    async with opened() as bench:
        run = await bench.start()
        await bench.ended(run.id)
        page = await bench.runner.read(c.ReadRun(run.id, since=11, limit=5))
        assert [point.step for point in page.points] == [11, 12, 13, 14, 15]
        assert page.more
        assert Path(page.log).is_file()


# --- stopping -------------------------------------------------------------------------------


@pytest.mark.parametrize("save", [True, False])
async def test_a_stop_ends_after_the_step_and_saves_when_asked_to(save: bool) -> None:
    async with opened() as bench:

        def hold(job: Any, sink: Any, step: int) -> None:
            if step == 5:
                bench.trainer.go.clear()

        bench.trainer.at_step = hold
        run = await bench.start()
        await until(lambda: bench.info(run.id).step >= 5)
        await bench.runner.stop(c.StopRun(run.id, save=save))
        info = await bench.ended(run.id)
        assert (info.state, info.error, info.step) == ("stopped", None, 6)
        assert info.adapter == (run.id if save else "")
        assert await refused(bench.runner.stop(c.StopRun(run.id))) == "run_ended"


async def test_a_waiting_run_is_taken_out_of_the_queue() -> None:
    async with opened() as bench:
        bench.trainer.go.clear()
        first, second = await bench.start(), await bench.start()
        stopped = await bench.runner.stop(c.StopRun(second.id))
        assert stopped.state == "stopped"
        bench.trainer.go.set()
        await bench.ended(first.id)
        assert [job.id for job in bench.trainer.jobs] == [first.id]
        assert not bench.runner.busy


async def test_a_stop_while_the_model_loads_ends_the_run_before_it_begins() -> None:
    async with opened() as bench:
        bench.shelf.backend = asyncio.get_running_loop().create_future()
        run = await bench.start()
        await until(lambda: bench.info(run.id).phase == "waiting" and bench.info(run.id).state == "running")
        await bench.runner.stop(c.StopRun(run.id))
        info = await bench.ended(run.id)
        assert (info.state, bench.trainer.jobs) == ("stopped", [])
        assert folder.load(folder.folder(run.id)) == info


async def test_an_engine_that_leaves_parks_the_active_run_and_the_next_one_goes_on_with_it_first() -> None:
    async with opened() as bench:
        bench.trainer.go.clear()
        active, queued = await bench.start(), await bench.start()
        await until(lambda: bench.trainer.jobs)
    found = {info.id: info for info in folder.load_all()}
    assert (found[active.id].state, found[active.id].error) == ("queued", None)
    assert found[queued.id].state == "queued"
    async with opened() as bench:
        assert (await bench.ended(queued.id)).state == "done"
        assert [job.id for job in bench.trainer.jobs] == [active.id, queued.id]
        assert bench.trainer.jobs[0].checkpoint.endswith(f"step-{found[active.id].step:06d}")
        assert bench.info(active.id).resumed == (found[active.id].step,)


async def test_a_run_of_a_killed_engine_goes_on_once_and_then_has_failed() -> None:
    first = folder.create(RunInfo("", SPEC, name="a", state="running", steps=30, started=1.0))
    again = folder.create(RunInfo("", SPEC, name="b", state="running", steps=30, tries=1, resumed=(0,)))
    async with opened() as bench:
        assert bench.info(again.id).state == "failed"
        assert (await refused(bench.steering.resume(c.ResumeRun("nobody")))) == "run_unknown"
        bench.trainer.go.clear()
        await until(lambda: bench.trainer.jobs)
        assert (bench.info(first.id).state, bench.info(first.id).tries) == ("running", 1)


# --- faults ---------------------------------------------------------------------------------


async def test_a_diverged_run_has_failed_keeps_its_last_adapter_and_the_next_one_runs() -> None:
    async with opened() as bench:

        def diverge(job: Any, sink: Any, step: int) -> None:
            if job.id.endswith("bad") and step == 15:
                raise fault("run_diverged", "Step 15 gave a loss of nan")

        bench.trainer.at_step = diverge
        bad, good = await bench.start(name="bad"), await bench.start(name="good")
        info = await bench.ended(bad.id)
        assert (info.state, info.step, info.adapter) == ("failed", 14, bad.id)
        assert info.error is not None
        assert info.error.code == "run_diverged"
        assert (await bench.ended(good.id)).state == "done"


async def test_an_unforeseen_fault_fails_one_run_only() -> None:
    async with opened() as bench:

        def crash(job: Any, sink: Any, step: int) -> None:
            if job.id.endswith("bad"):
                raise ZeroDivisionError("step")

        bench.trainer.at_step = crash
        bad, good = await bench.start(name="bad"), await bench.start(name="good")
        info = await bench.ended(bad.id)
        assert info.error is not None
        assert (info.error.code, info.adapter) == ("run_failed", "")
        assert "ZeroDivisionError" in info.error.detail
        assert (await bench.ended(good.id)).state == "done"


async def test_a_disk_that_runs_full_parks_the_run_with_that_sentence_and_it_goes_on_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("engine.runs.book.RETRY_SECONDS", 0.05)
    async with opened() as bench:
        bench.trainer.go.clear()
        run = await bench.start(steps=400)
        await until(lambda: bench.trainer.jobs)
        with file_limit(folder.log_path(run.id).stat().st_size + 300):
            bench.trainer.go.set()
            await until(lambda: bench.info(run.id).state == "paused")
            info = bench.info(run.id)
            assert (info.pause, bench.runner.busy) == ("park", True)
            assert info.error is not None
            assert info.error.code == "disk_full"
            assert str(folder.log_path(run.id)) in info.error.detail
        await until(lambda: not bench.runner.busy)
        assert folder.load(folder.folder(run.id)) == info
        await bench.steering.resume(c.ResumeRun(run.id))
        done = await bench.ended(run.id)
        assert (done.state, done.step, done.error) == ("done", 400, None)


async def test_data_that_is_gone_when_its_turn_comes_fails_the_run(tmp_path: Path) -> None:
    data = tmp_path / "mine.jsonl"
    row = '{"messages": [{"role": "user", "content": "%s"}, {"role": "assistant", "content": "b"}]}\n'
    data.write_text(row % "x" + row % "y")
    async with opened() as bench:
        bench.trainer.go.clear()
        await bench.start()
        run = await bench.start(data=str(data))
        data.unlink()
        bench.trainer.go.set()
        info = await bench.ended(run.id)
        assert info.error is not None
        assert info.error.code == "data_unreadable"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"rank": 0}, "spec_wrong"),
        ({"model": "nobody"}, "model_not_found"),
        ({"model": "plain"}, "no_chat_template"),
        ({"model": "torn"}, "model_unsupported"),
        ({"data": ""}, "data_missing"),
        ({"data": "shipped:none"}, "dataset_unknown"),
        ({"data": "here.jsonl"}, "data_relative"),
        ({"data": "/none/here.jsonl"}, "data_unreadable"),
        ({"data": "/dev"}, "data_unreadable"),
        ({"data": "/dev/zero"}, "data_unreadable"),
        ({"data": "~nobodyhere/x"}, "data_unreadable"),
        ({"data": "/" + "x" * 5000}, "data_unreadable"),
        ({"data": "/a\0b"}, "data_unreadable"),
        ({"data": "~/one.jsonl"}, "data_empty"),
    ],
)
async def test_what_cannot_work_is_refused_and_nothing_is_stored(
    models: Path, home: Path, changes: dict[str, Any], code: str
) -> None:
    (model_folder(models / "torn") / "model.safetensors").write_bytes(b"x")
    row = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n'
    (home / "one.jsonl").write_text(row)
    async with opened() as bench:
        assert await refused(bench.start(**changes)) == code
        assert bench.runner.infos() == ()
        assert folder.load_all() == []


# --- the list -------------------------------------------------------------------------------


async def test_delete_and_undo_take_the_adapter_along() -> None:
    async with opened() as bench:
        run = await bench.start()
        info = await bench.ended(run.id)
        await until(lambda: bench.runner.adapters.infos())
        await bench.runner.delete(c.DeleteRun(run.id))
        assert (bench.runner.infos(), bench.runner.adapters.infos()) == ((), ())
        assert [body.run for body in await bench.told(e.RunGone)] == [run.id]
        assert await refused(bench.runner.delete(c.DeleteRun(run.id))) == "run_unknown"
        await bench.runner.delete(c.DeleteRun(run.id, restore=True))
        assert bench.runner.infos() == (info,)
        assert [adapter.id for adapter in bench.runner.adapters.infos()] == [run.id]
        assert (await bench.told(e.RunChanged))[-1].run == info


async def test_a_run_under_way_is_not_deleted() -> None:
    async with opened() as bench:
        bench.trainer.go.clear()
        run = await bench.start()
        await until(lambda: bench.trainer.jobs)
        assert await refused(bench.runner.delete(c.DeleteRun(run.id))) == "run_active"


async def test_a_run_is_called_by_id_number_or_name() -> None:
    async with opened() as bench:
        bench.trainer.go.clear()
        for name in ("a", "same", "same"):
            await bench.start(name=name)
        book: RunBook = bench.runner.book
        assert [book.find(ref).id for ref in ("0001-a", "1", "a", "3")] == ["0001-a"] * 3 + ["0003-same"]
        for ref, code in (("same", "run_ambiguous"), ("9", "run_unknown"), ("²", "run_unknown")):
            with pytest.raises(EngineError) as caught:
                book.find(ref)
            assert caught.value.info.code == code


async def test_an_estimate_is_answered_while_a_run_trains() -> None:
    async with opened() as bench:
        bench.trainer.go.clear()
        await bench.start()
        await until(lambda: bench.trainer.jobs)
        found = await asyncio.wait_for(bench.runner.estimate(c.EstimateRun(SPEC)), 5)
        assert found.steps == 30
        listed = await bench.runner.datasets(c.ListDatasets())
        assert "shipped:pirate" in [dataset.id for dataset in listed.datasets]


# --- adapters -------------------------------------------------------------------------------


async def test_an_adapter_fits_its_own_base_only(models: Path) -> None:
    async with opened() as bench:
        run = await bench.start()
        await bench.ended(run.id)
        base, other = await bench.shelf.find("base"), await bench.shelf.find("other")
        adapter = await bench.runner.adapters.resolve(run.id, base)
        assert adapter.base == base.id
        with pytest.raises(EngineError) as caught:
            await bench.runner.adapters.resolve(run.id, other)
        assert caught.value.info.code == "adapter_other_base"
        assert caught.value.info.title == "tale was trained on base, not on other"
        assert await refused(bench.runner.adapters.resolve("none", base)) == "adapter_unknown"


async def test_an_adapter_whose_base_is_not_here_says_which(models: Path, tmp_path: Path) -> None:
    gone = model_folder(tmp_path / "gone", seed=8)
    adapter_folder(models / "stray", gone, base_model_name_or_path="org/gone")
    async with opened() as bench:
        with pytest.raises(EngineError) as caught:
            await bench.runner.adapters.resolve("tale", await bench.shelf.find("base"))
        assert caught.value.info.code == "adapter_other_base"
        assert "trained on org/gone, not on base" in caught.value.info.title


async def test_one_that_is_put_there_later_is_found_with_its_present_version(models: Path) -> None:
    async with opened() as bench:
        base = await bench.shelf.find("base")
        place = adapter_folder(models / "late", base.path)
        first = await bench.runner.adapters.resolve(str(place), base)
        with open(place / "adapter_config.json", "a") as file:
            file.write(" ")
        assert (await bench.runner.adapters.resolve("tale", base)).version == first.version
        (place / "adapter_model.safetensors").touch()
        assert (await bench.runner.adapters.resolve("tale", base)).version != first.version
        (place / "adapter_model.safetensors").write_bytes(b"")
        assert await refused(bench.runner.adapters.resolve("tale", base)) == "adapter_unusable"
        listed = await bench.runner.adapters.listing(c.ListAdapters(refresh=True))
        assert "damaged" in listed.adapters[0].why
