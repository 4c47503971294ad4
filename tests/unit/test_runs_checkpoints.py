"""Checkpoints are whole or not used: any damage is found before use, named, and an earlier one is taken."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.protocol.errors import EngineError
from engine.protocol.runs import RunInfo, TrainSpec
from engine.runs import checkpoints, folder, housekeeping
from tests.support.fake_trainer import saved_checkpoint


@pytest.fixture
def run(home: Path) -> Path:
    place = folder.runs_dir() / "0001-a"
    place.mkdir()
    return place


@pytest.mark.parametrize("file", ["weights.safetensors", "manifest.json"])
@pytest.mark.parametrize("share", [0, 0.01, 0.25, 0.5, 0.99])
def test_a_cut_file_is_found_and_the_one_before_is_taken(run: Path, file: str, share: float) -> None:
    saved_checkpoint(run, 10)
    last = saved_checkpoint(run, 20)
    whole = (last / file).read_bytes()
    (last / file).write_bytes(whole[: int(len(whole) * share)])
    found, skipped = checkpoints.newest(run)
    assert found == last.with_name("step-000010")
    assert len(skipped) == 1
    assert file in skipped[0]


def test_one_flipped_bit_is_found_wherever_it_is(run: Path) -> None:
    last = saved_checkpoint(run, 20)
    path = last / "weights.safetensors"
    whole, dice = path.read_bytes(), random.Random(1)
    for _ in range(100):
        spoilt = bytearray(whole)
        spoilt[dice.randrange(len(spoilt))] ^= 1 << dice.randrange(8)
        path.write_bytes(spoilt)
        with pytest.raises(EngineError, match=r"weights\.safetensors"):
            checkpoints.verify(last)
    path.write_bytes(whole)
    assert checkpoints.verify(last).step == 20


def test_a_missing_file_a_renamed_folder_and_a_path_outside_are_refused(run: Path) -> None:
    place = saved_checkpoint(run, 10)
    renamed = place.rename(place.with_name("step-000030"))
    with pytest.raises(EngineError, match="of step 10"):
        checkpoints.verify(renamed)
    place = renamed.rename(place)
    (place / "weights.safetensors").unlink()
    with pytest.raises(EngineError, match="is missing"):
        checkpoints.verify(place, whole=False)
    manifest = checkpoints.read_manifest(place)
    outside = checkpoints.Manifest(10, {"../../x": next(iter(manifest.files.values()))})
    checkpoints.write_manifest(place, outside)
    with pytest.raises(EngineError, match="outside"):
        checkpoints.verify(place)


def test_the_last_two_and_the_best_are_kept(run: Path) -> None:
    for step, loss in ((10, 2.0), (20, 1.0), (30, 1.5), (40, 1.4), (50, None)):
        saved_checkpoint(run, step, eval_loss=loss)
    assert checkpoints.best_step(run) == 20
    assert [path.name for path in checkpoints.superfluous(run)] == ["step-000030", "step-000010"]
    (run / "checkpoints" / "step-000050" / "weights.safetensors").write_bytes(b"")
    kept = {path.name for path in checkpoints.superfluous(run)}
    assert kept == {"step-000050", "step-000010"}
    listed = checkpoints.listing(run)
    assert [(each.step, each.best, bool(each.why)) for each in listed[:2]] == [
        (50, False, True),
        (40, False, False),
    ]
    assert all(each.bytes_on_disk == 1024 for each in listed[1:])


def test_a_name_is_lost_before_the_files_are(run: Path) -> None:
    place = saved_checkpoint(run, 10)
    checkpoints.remove(place)
    assert list(checkpoints.place(run).iterdir()) == []
    (checkpoints.place(run) / ".step-000020.tmp").mkdir()
    assert [path.name for path in checkpoints.leftovers(run)] == [".step-000020.tmp"]
    assert checkpoints.listing(run) == []


def test_the_trash_is_kept_for_a_week(home: Path) -> None:
    (folder.trash_dir() / "0001-a").mkdir()
    (folder.trash_dir() / "0001-a" / "x").write_bytes(b"x" * 100)
    now = (folder.trash_dir() / "0001-a").stat().st_mtime
    assert housekeeping.expire_trash(now + 6.9 * 86400) == 0
    assert housekeeping.expire_trash(now + 7.1 * 86400) == 100
    assert list(folder.trash_dir().iterdir()) == []


def test_nothing_of_a_run_that_stands_still_in_memory_is_pruned(run: Path) -> None:
    """It may write a checkpoint at any moment: its half written one is no left over."""
    saved_checkpoint(run, 10)
    (checkpoints.place(run) / ".step-000020.tmp").mkdir()
    info = RunInfo(run.name, TrainSpec("demo", "shipped:pirate"), state="paused", pause="hold")
    assert housekeeping.prunable([info]) == ()
    [left] = housekeeping.prunable([replace(info, pause="park")])
    assert left.kind == "left over"


def test_days_in_the_trash_count_from_the_delete_even_when_a_kill_comes_next(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.utime(run, (0, 0))
    moved = []
    monkeypatch.setattr(folder, "_move", lambda source, target: moved.append(source.stat().st_mtime))
    folder.discard(run.name)
    assert moved[0] > time.time() - 60
