"""Pause, the order of the queue, doing it again, what is told at the end: over real lanes, bus and disk."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from engine.protocol import commands as c
from engine.protocol.errors import fault
from engine.protocol.runs import RunInfo
from engine.protocol.training import TrainSpec
from engine.runs import checkpoints, folder, log, notify, outcome, under_way
from engine.settings import settings_path
from engine.training import Foreseen
from tests.unit.test_runs_runner import Bench, models, opened, refused, until

__all__ = ["models"]  # the fixture


async def begun(bench: Bench, step: int = 12, **changes: Any) -> RunInfo:
    """A run that waits before its next step."""

    def hold(job: Any, sink: Any, at: int) -> None:
        if at == step:
            bench.trainer.go.clear()

    bench.trainer.at_step = hold
    run = await bench.start(**changes)
    await until(lambda: bench.info(run.id).step >= step)
    bench.trainer.at_step = lambda job, sink, at: None
    return run


async def paused(bench: Bench, run: RunInfo, mode: Any) -> RunInfo:
    await bench.steering.pause(c.PauseRun(run.id, mode))
    await until(lambda: bench.info(run.id).state == "paused" and bench.info(run.id).pause == mode)
    return bench.info(run.id)


@pytest.mark.parametrize("mode", ["hold", "yield"])
async def test_a_run_stands_still_and_goes_on(mode: str) -> None:
    async with opened() as bench:
        run = await begun(bench)
        info = await paused(bench, run, mode)
        assert (info.phase, info.eta_s) == ("paused", None)
        assert bench.runner.busy
        await bench.steering.resume(c.ResumeRun(run.id))
        bench.trainer.go.set()
        done = await bench.ended(run.id)
        assert (done.state, done.pause, done.resumed, len(bench.trainer.jobs)) == ("done", "", (), 1)


async def test_a_parked_run_lets_go_and_goes_on_from_its_checkpoint_with_one_point_a_step() -> None:
    async with opened() as bench:
        run = await begun(bench)
        other = await bench.start(name="other")
        info = await paused(bench, run, "park")
        bench.trainer.go.set()
        assert (await bench.ended(other.id)).state == "done"
        assert not bench.runner.busy
        await bench.steering.resume(c.ResumeRun(run.id))
        done = await bench.ended(run.id)
        assert (done.state, done.resumed, done.tries) == ("done", (info.step,), 0)
        assert bench.trainer.jobs[-1].checkpoint.endswith(checkpoints.name(info.step))
        points = log.read(folder.log_path(run.id)).points
        assert [point.step for point in points if point.loss is not None] == list(range(1, 31))
        assert done.tokens == 30 * 100


async def test_a_parked_run_that_is_stopped_keeps_the_adapter_of_its_checkpoint() -> None:
    async with opened() as bench:
        run = await begun(bench, step=5)
        await paused(bench, run, "park")
        await bench.runner.stop(c.StopRun(run.id))
        stopped = await bench.ended(run.id)
        assert (stopped.state, stopped.adapter) == ("stopped", run.id)
        assert folder.has_adapter(run.id)


async def test_the_chat_takes_the_adapter_of_a_live_runs_checkpoint() -> None:
    async with opened() as bench:
        run = await begun(bench)
        await paused(bench, run, "hold")
        ref = f"{run.id}@10"
        await until(lambda: any(each.id == ref for each in bench.runner.adapters.infos()))
        base = await bench.shelf.find("base")
        found = await bench.runner.adapters.resolve(ref, base)
        assert (found.id, found.name, found.base) == (ref, "tale@10", base.id)
        weights = folder.folder(run.id) / "checkpoints" / "step-000010" / "adapter" / checkpoints.WEIGHTS
        weights.write_bytes(weights.read_bytes()[:-1])
        assert await refused(bench.runner.adapters.resolve(ref, base)) == "checkpoint_broken"
        assert await refused(bench.runner.adapters.resolve(f"{run.id}@99", base)) == "checkpoint_unknown"


async def test_a_damaged_checkpoint_is_passed_over_and_named() -> None:
    async with opened() as bench:
        run = await begun(bench)
        info = await paused(bench, run, "park")
        place = checkpoints.place(folder.folder(run.id)) / checkpoints.name(info.step)
        (place / "weights.safetensors").write_bytes(b"")
        bench.trainer.go.set()
        await bench.steering.resume(c.ResumeRun(run.id))
        done = await bench.ended(run.id)
        assert (done.state, done.resumed) == ("done", (10,))
        assert "weights.safetensors" in done.findings[-1].title


async def test_the_queue_is_told_moved_and_kept_for_the_next_engine() -> None:
    async with opened() as bench:
        await begun(bench)
        a, b, last = [await bench.start(name=name) for name in ("a", "b", "c")]
        assert [bench.info(run.id).place for run in (a, b, last)] == [1, 2, 3]
        assert (await bench.steering.move(c.MoveRun(last.id, 1))).place == 1
        assert [bench.info(run.id).place for run in (a, b, last)] == [2, 3, 1]
        held = await bench.steering.pause(c.PauseRun(a.id))
        assert (held.state, held.pause, held.place) == ("paused", "park", 0)
        assert await refused(bench.steering.move(c.MoveRun(a.id, 1))) == "run_not_queued"
    async with opened() as bench:
        await bench.ended(b.id)
        await bench.ended(last.id)
        assert [job.id.split("-")[1] for job in bench.trainer.jobs] == ["pirate", "c", "b"]
        assert bench.info(a.id).state == "paused"


async def test_a_held_run_is_stored_and_waits_for_a_person() -> None:
    async with opened() as bench:
        spec = (await bench.ended((await bench.start()).id)).spec
        run = await bench.runner.start(c.StartRun(spec, hold=True))
        assert (run.state, run.pause, bench.runner.busy) == ("paused", "park", False)
        await bench.steering.resume(c.ResumeRun(run.id))
        assert (await bench.ended(run.id)).resumed == ()


async def test_a_run_that_is_wanted_now_parks_the_one_that_trains() -> None:
    async with opened() as bench:
        first = await begun(bench)
        _, wanted = await bench.start(name="later"), await bench.start(name="wanted")
        await bench.steering.now(c.RunNow(wanted.id))
        await until(lambda: bench.info(first.id).place == 1)
        bench.trainer.go.set()
        await bench.ended("0002-later")
        assert [job.id[:4] for job in bench.trainer.jobs] == ["0001", "0003", "0001", "0002"]
        assert bench.info(first.id).state == "done"


async def test_a_run_waits_until_nobody_chats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.runs.queue.LOOK_SECONDS", 0.01)
    monkeypatch.setenv("QWILL_QUIET_SECONDS", "0.05")
    chats = [True]
    async with opened() as bench:
        bench.runner.quiet.chatting = lambda: bool(chats)
        spec = (await bench.ended((await bench.start(name="now")).id)).spec
        idle = await bench.runner.start(c.StartRun(spec, idle=True))
        after = await bench.start(name="passes")
        await bench.ended(after.id)
        assert (bench.info(idle.id).state, bench.info(idle.id).idle) == ("queued", True)
        chats.clear()
        assert (await bench.ended(idle.id)).state == "done"


async def test_memory_that_runs_out_is_tried_once_more_with_half_the_rows() -> None:
    async with opened() as bench:

        def full(job: Any, sink: Any, step: int) -> None:
            if step == 15 and (job.spec.batch > 2 or job.id.endswith("hopeless")):
                raise fault("out_of_memory", "Memory ran out while training")

        bench.trainer.at_step = full
        run, hopeless = await bench.start(), await bench.start(name="hopeless")
        done = await bench.ended(run.id)
        assert (done.state, done.spec.batch, done.spec.accumulate, done.resumed) == ("done", 2, 2, (10,))
        failed = await bench.ended(hopeless.id)
        assert failed.error is not None
        assert (failed.state, failed.error.code, failed.tries) == ("failed", "out_of_memory", 1)
        assert len(bench.trainer.jobs) == 4


async def test_data_that_changed_under_a_parked_run_is_not_gone_on_with(tmp_path: Path) -> None:
    data = tmp_path / "mine.jsonl"
    row = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    data.write_text(f"{json.dumps(row)}\n" * 3)
    async with opened() as bench:
        run = await begun(bench, data=str(data))
        await paused(bench, run, "park")
        data.write_text(f"{json.dumps(row)}\n" * 4)
        bench.trainer.go.set()
        await bench.steering.resume(c.ResumeRun(run.id))
        info = await bench.ended(run.id)
        assert info.error is not None
        assert info.error.code == "data_changed"


async def test_names_tags_and_notes_change_while_it_trains_and_after() -> None:
    async with opened() as bench:
        run = await begun(bench)
        await bench.steering.change(c.ChangeRun(run.id, name="  new   name ", tags=("a", "a", " b ")))
        bench.trainer.go.set()
        done = await bench.ended(run.id)
        assert (done.id, done.name, done.tags) == (run.id, "new name", ("a", "b"))
        await until(lambda: not bench.runner.busy)
        await bench.steering.change(c.ChangeRun(run.id, note="the best one"))
        assert folder.load(folder.folder(run.id)) == bench.info(run.id)
        assert bench.info(run.id).note == "the best one"
        assert await refused(bench.steering.change(c.ChangeRun(run.id, name=" "))) == "run_unnamed"


async def test_a_new_name_takes_no_step_back() -> None:
    """A pause that comes while the name is written to the log stands."""
    async with opened() as bench:
        run = await begun(bench, step=5)
        live = bench.runner.live(run.id)
        assert live is not None
        keep = live.writer.run

        def slow(info: RunInfo) -> None:
            live.pause("hold")
            deadline = time.monotonic() + 0.4
            while live.info.state != "paused" and time.monotonic() < deadline:
                time.sleep(0.001)
            keep(info)

        live.writer.run = slow  # type: ignore[method-assign]
        await bench.steering.change(c.ChangeRun(run.id, name="new name"))
        await until(lambda: live.info.state == "paused")
        assert (live.info.name, live.info.step) == ("new name", 6)
        live.writer.run = keep  # type: ignore[method-assign]
        await bench.steering.resume(c.ResumeRun(run.id))
        bench.trainer.go.set()
        done = await bench.ended(run.id)
        assert (done.name, done.step) == ("new name", 30)


async def test_a_name_given_while_the_run_ends_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened() as bench:
        finished = outcome.finished

        def named_meanwhile(live: Any, found: Any) -> RunInfo:
            info = finished(live, found)
            bench.runner.book.tell(replace(live.info, name="late name"))
            return info

        monkeypatch.setattr(outcome, "finished", named_meanwhile)
        run = await bench.start()
        done = await bench.ended(run.id)
        assert (done.state, done.name) == ("done", "late name")


async def test_a_duplicate_has_the_changes_and_fills_in_anew_what_was_filled_in() -> None:
    async with opened() as bench:
        run = await bench.start()
        await bench.ended(run.id)
        twin = await bench.steering.duplicate(c.DuplicateRun(run.id, {"rank": 4, "seed": 2}))
        assert (twin.spec.rank, twin.spec.alpha, twin.spec.seed, twin.spec.steps) == (4, 8, 2, 30)
        assert twin.name == "pirate-r4"
        wrong = c.DuplicateRun(run.id, {"ranks": 4})
        assert await refused(bench.steering.duplicate(wrong)) == "spec_wrong"
        await bench.ended(twin.id)


async def test_a_rerun_says_what_is_not_the_same_here() -> None:
    async with opened() as bench:
        run = await bench.start()
        info = await bench.ended(run.id)
        same = await bench.steering.rerun(c.RerunRun(run.id))
        assert (same.unmatched, same.run.spec) == ((), info.spec)
        await bench.ended(same.run.id)
        bench.runner.book.note(
            RunInfo(info.id, info.spec, versions=info.versions | {"torch": "1.0"}, data_hash="x")
        )
        other = await bench.steering.rerun(c.RerunRun(run.id))
        assert other.unmatched[0].startswith("torch was 1.0 and is ")
        assert "other bytes" in other.unmatched[1]
        assert await refused(bench.steering.rerun(c.RerunRun(run.id, strict=True))) == "rerun_differs"
        await bench.ended(other.run.id)


async def test_pruning_says_what_would_go_and_then_lets_it_go() -> None:
    async with opened() as bench:
        run, gone = await bench.start(steps=40), await bench.start(name="gone")
        await bench.ended(run.id)
        await bench.ended(gone.id)
        await until(lambda: not bench.runner.busy)
        await bench.runner.delete(c.DeleteRun(gone.id))
        plan = await bench.steering.prune(c.PruneRuns(dry_run=True))
        assert {item.kind for item in plan.items} == {"checkpoint", "trash"}
        assert plan.bytes_on_disk == sum(item.bytes_on_disk for item in plan.items) > 0
        assert all(Path(item.path).exists() for item in plan.items)
        done = await bench.steering.prune(c.PruneRuns(dry_run=False))
        assert done.items == plan.items
        assert not any(Path(item.path).exists() for item in plan.items)
        kept = (await bench.steering.checkpoints(c.ListCheckpoints(run.id, verify=True))).checkpoints
        assert [each.best for each in kept] == [True]


async def test_the_end_of_a_run_is_told_to_a_command(home: Path) -> None:
    heard = home / "heard"
    script = home / "hear.sh"
    script.write_text(f'#!/bin/sh\necho "$QWILL_RUN $QWILL_EVENT $QWILL_NAME $1" >> {heard}\n')
    script.chmod(0o700)
    settings_path().write_text(f"[runs]\non_event = \"{script} 'two words; $(true)'\"\n")
    async with opened() as bench:
        run = await bench.start()
        await bench.ended(run.id)
        await until(lambda: heard.exists() and heard.read_text().endswith("\n"))
    assert heard.read_text() == f"{run.id} done pirate-r16 two words; $(true)\n"


@pytest.mark.parametrize("text", ['"no-such-program-here"', '"\'unclosed"', "3"])
async def test_a_command_that_fails_harms_nothing(home: Path, text: str) -> None:
    settings_path().write_text(f"[runs]\non_event = {text}\n")
    info = RunInfo("0001-a", c.TrainSpec("", ""), state="failed")
    thread = notify.ring(info)
    if thread is not None:
        thread.join(10)
        assert not thread.is_alive()
    assert notify.happened(info) == "failed"


async def test_a_note_says_that_a_run_is_under_way_only_while_it_is() -> None:
    import os

    async with opened() as bench:
        run = await begun(bench)
        assert (under_way.of(os.getpid()), under_way.of(1)) == (run.id, "")
        bench.trainer.go.set()
        await bench.ended(run.id)
        await until(lambda: not bench.runner.busy)
        assert under_way.of(os.getpid()) == ""


# --- what is named is made whole ------------------------------------------------------------


async def test_evaluation_data_is_stored_whole_and_looked_at_before_a_run(home: Path) -> None:
    held = home / "held.jsonl"
    held.write_text('{"prompt": "a", "answer": "b"}\n')
    async with opened() as bench:
        bench.trainer.go.clear()
        run = await bench.start(eval_data="~/held.jsonl")
        assert run.spec.eval_data == str(held)
        assert await refused(bench.start(eval_data="~/gone.jsonl")) == "data_unreadable"
        held.write_text('{"text": "plain"}\n')
        assert await refused(bench.start(eval_data="~/held.jsonl")) == "data_kind"


async def test_a_twin_of_other_data_has_its_file_made_too(home: Path) -> None:
    """Marked replies and datasets of the hub become files wherever a run begins."""
    made = home / "made.jsonl"
    made.write_text('{"prompt": "a", "answer": "b"}\n{"prompt": "c", "answer": "d"}\n')

    async def placed(spec: TrainSpec) -> TrainSpec:
        return replace(spec, data=str(made)) if spec.data == "marked:" else spec

    async with opened() as bench:
        bench.runner.placed = placed
        run = await bench.start(steps=1)
        twin = await bench.steering.duplicate(c.DuplicateRun(run.id, {"data": "marked:"}))
        assert twin.spec.data == str(made)
        again = await bench.steering.rerun(c.RerunRun(twin.id))
        assert again.run.spec.data == str(made)


async def test_what_is_foreseen_of_a_run_is_told_before_its_first_step() -> None:
    async with opened() as bench:

        def foretell(job: Any, sink: Any, at: int) -> None:
            if at == 1:
                sink.foreseen(Foreseen(rows=9, left_out=2, device="cuda:1"))
                sink.foreseen(Foreseen(predicted=900, measured=1000, left_s=42.0))
                bench.trainer.go.clear()

        bench.trainer.at_step = foretell
        bench.trainer.go.set()
        run = await bench.start()
        await until(lambda: bench.info(run.id).predicted)
        told = bench.info(run.id)
        assert (told.rows, told.left_out, told.device) == (9, 2, "cuda:1")
        assert (told.predicted, told.measured) == (900, 1000)
        bench.trainer.go.set()
        ended = await bench.ended(run.id)
        assert (ended.predicted, ended.measured, ended.rows) == (900, 1000, 9)
