"""A run's folder appears whole or not at all, under an id that is given once."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.data.spec_file import load_spec
from engine.protocol.errors import EngineError
from engine.protocol.runs import RunInfo, StepPoint, TrainSpec
from engine.runs import folder
from engine.runs.log import LogWriter, lines
from engine.runs.recover import recover
from tests.support.fake_trainer import saved_checkpoint
from tests.support.full_disk import file_limit

SPEC = TrainSpec("demo", "shipped:pirate", name="Pirate!", alpha=32)


def new(name: str = "Pirate!", **changes: object) -> RunInfo:
    return folder.create(RunInfo("", SPEC, name=name, **changes))  # type: ignore[arg-type]


def test_a_run_is_stored_before_it_has_an_answer() -> None:
    info = new()
    path = folder.folder(info.id)
    assert info.id == "0001-pirate"
    assert path.stat().st_mode & 0o777 == 0o700
    assert load_spec(path / "run.toml") == SPEC
    assert folder.load(path) == info
    [line] = lines(folder.log_path(info.id))
    assert line.run == info


def test_ids_rise_and_are_never_given_twice_even_after_a_delete() -> None:
    first, second = new(), new()
    folder.discard(second.id)
    third = new()
    assert [first.id, second.id, third.id] == ["0001-pirate", "0002-pirate", "0003-pirate"]
    (folder.trash_dir() / second.id).rename(folder.trash_dir() / "gone")
    assert [info.id for info in folder.load_all()] == [third.id, first.id]


def _make(_: int) -> str:
    return new("same").id


def test_threads_and_processes_never_share_an_id() -> None:
    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(_make, range(12)))
    with multiprocessing.get_context("fork").Pool(2) as processes:
        ids += processes.map(_make, range(8))
    assert sorted(int(run[:4]) for run in ids) == list(range(1, 21))


@given(st.text(max_size=80))
def test_any_name_makes_a_safe_id(name: str) -> None:
    assert folder.ID.fullmatch(f"0001-{folder.slug(name)}")


@pytest.mark.parametrize("run", ["..", "../runs/0001-a", "0001-a/..", "", "0001-A", "x" * 300, "0001-a\0"])
def test_what_is_no_id_never_becomes_a_path(run: str) -> None:
    for work in (folder.folder, folder.discard, folder.restore):
        with pytest.raises(EngineError) as caught:
            work(run)
        assert caught.value.info.code == "run_unknown"


def test_a_deleted_run_comes_back_with_everything() -> None:
    info = new()
    adapter = folder.folder(info.id) / "adapter"
    adapter.mkdir()
    (adapter / "adapter_model.safetensors").write_bytes(b"x")
    folder.discard(info.id)
    assert folder.load_all() == []
    assert folder.restore(info.id) == info
    assert folder.has_adapter(info.id)


def test_a_full_disk_leaves_no_half_run() -> None:
    with file_limit(100), pytest.raises(EngineError) as caught:
        new()
    assert caught.value.info.code == "disk_full"
    assert folder.load_all() == []
    assert [path.name for path in folder.runs_dir().iterdir()] == [".counter"]


def test_a_full_disk_keeps_the_last_state() -> None:
    info = new()
    with file_limit(50), pytest.raises(EngineError):
        folder.save(RunInfo(info.id, SPEC, state="running"))
    assert folder.load(folder.folder(info.id)) == info


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff", b'{"id": 3}'])
def test_a_damaged_note_is_replaced_by_the_logs_last_word(damage: bytes) -> None:
    info = new()
    (folder.folder(info.id) / "info.json").write_bytes(damage)
    assert folder.load_all() == [info]


def test_a_folder_without_anything_to_read_is_left_out() -> None:
    info = new()
    (folder.runs_dir() / "0099-empty").mkdir()
    (folder.runs_dir() / "notes.txt").write_text("mine")
    assert [found.id for found in folder.load_all()] == [info.id]


def running(*points: StepPoint, adapter: bool) -> Path:
    info = new(state="running", steps=50, started=1.0, tries=1, resumed=(10,))
    writer = LogWriter(folder.log_path(info.id))
    writer.run(info)
    for point in points:
        writer.point(point)
    writer.close()
    path = folder.folder(info.id)
    if adapter:
        (path / "adapter").mkdir()
        (path / "adapter" / "adapter_model.safetensors").write_bytes(b"x")
    return path


def test_a_run_cut_off_by_a_kill_has_failed_and_names_what_is_kept() -> None:
    points = (StepPoint(20, eval_loss=1.5), StepPoint(21, loss=1.2, at=9.0, memory=77))
    path = running(*points, adapter=True)
    [info] = map(recover, folder.load_all())
    assert (info.state, info.step, info.loss, info.eval_loss, info.ended) == ("failed", 21, 1.2, 1.5, 9.0)
    assert (info.adapter, info.peak) == (info.id, 77)
    assert info.error is not None
    assert "step 21 of 50" in info.error.title
    assert str(path / "adapter") in info.error.detail
    assert folder.load(path) == info
    assert list(lines(path / "events.jsonl"))[-1].run == info


def test_a_run_that_was_cut_off_waits_to_go_on_once_and_again_where_it_came_further() -> None:
    info = new(state="running", steps=50, started=1.0)
    [first] = map(recover, folder.load_all())
    assert (first.state, first.tries, first.error) == ("queued", 1, None)
    stuck = replace(first, state="running", resumed=(0,))
    assert recover(stuck).state == "failed"
    saved_checkpoint(folder.folder(info.id), 5)
    assert (recover(stuck).state, recover(stuck).tries) == ("queued", 2)
    assert recover(replace(stuck, resumed=(5,))).state == "failed"


def test_a_run_that_was_too_large_waits_with_a_smaller_batch() -> None:
    info = replace(new(), state="running")
    assert recover(info).spec.batch == 4
    assert (recover(info, out_of_memory=True).spec.batch, SPEC.accumulate) == (2, 1)


def test_a_run_that_stood_still_is_parked_then() -> None:
    info = recover(replace(new(), state="paused", pause="hold", started=1.0))
    assert (info.state, info.pause) == ("paused", "park")
    assert recover(info) is info


def test_a_run_cut_off_before_its_first_save_says_so() -> None:
    running(adapter=False)
    [info] = map(recover, folder.load_all())
    assert info.error is not None
    assert info.adapter == ""
    assert "No adapter was saved yet" in info.error.detail


@pytest.mark.parametrize("state", ["queued", "done", "failed", "stopped"])
def test_a_run_that_was_not_under_way_comes_back_as_it_was(state: str) -> None:
    info = new(state=state)
    assert recover(info) is info
