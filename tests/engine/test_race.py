"""Runs that take turns on one thread learn what they learn alone, to the byte."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from engine.training import RunOutcome  # noqa: E402
from engine.workers.training import race  # noqa: E402
from engine.workers.training.base import Base, SharedBases  # noqa: E402
from engine.workers.training.pause import moved_out  # noqa: E402
from tests.support.tiny_run import RecordedRun, TinyRuns, adapter_bytes  # noqa: E402

pytestmark = pytest.mark.engine
SHORT = {"steps": 4, "accumulate": 1, "eval_every": 2, "group": "race-1"}
MEMBERS = [{"method": method, "seed": seed} for method in ("lora", "dora") for seed in (0, 1)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> TinyRuns:
    return TinyRuns.fresh(tmp_path_factory.mktemp("race"))


def raced(runs: TinyRuns, folders: list[Path], sinks: list[RecordedRun]) -> list[RunOutcome]:
    """All members in turns of 1 and 2 steps, so that they never stand at the same step for long."""
    wish = threading.Event()
    wish.set()
    members = {
        place: runs.backend.trainer.member(
            runs.job(folders[place], **SHORT, **each), sinks[place], save_on_stop=wish
        )
        for place, each in enumerate(MEMBERS)
    }
    ended: dict[int, RunOutcome] = {}
    for turn in itertools.count():
        place = turn % len(MEMBERS)
        if place not in ended and (outcome := members[place].turn(1 + place % 2)) is not None:
            ended[place] = outcome
        if len(ended) == len(MEMBERS):
            return [ended[place] for place in range(len(MEMBERS))]
    raise AssertionError


def test_turns_change_no_byte_and_members_hold_out_the_same_rows(runs: TinyRuns, tmp_path: Path) -> None:
    folders = [tmp_path / f"turn{place}" for place in range(len(MEMBERS))]
    sinks = [RecordedRun() for _ in MEMBERS]
    outcomes = raced(runs, folders, sinks)
    assert [outcome.step for outcome in outcomes] == [4] * 4
    for place, each in enumerate(MEMBERS):
        alone = RecordedRun()
        runs.train(tmp_path / f"alone{place}", alone, **SHORT, **each)
        assert adapter_bytes(tmp_path / f"alone{place}") == adapter_bytes(folders[place])
        assert (alone.losses, alone.evals) == (sinks[place].losses, sinks[place].evals)
    # The first evaluation is the base's: the same rows give all the same number, whatever their seeds are.
    assert len({sink.evals[0] for sink in sinks}) == 1
    assert len({sink.losses[4] for sink in sinks}) == 4


def test_aside_and_back_changes_no_byte(
    runs: TinyRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a GPU does between two turns; here both places are RAM."""
    seen = []
    monkeypatch.setattr(race.Run, "on_gpu", property(lambda self: True))
    monkeypatch.setattr("engine.workers.training.run.moved_out", lambda *it: seen.append(1) or moved_out(*it))
    wish = threading.Event()
    wish.set()
    member = runs.backend.trainer.member(
        runs.job(tmp_path / "turns", **SHORT), RecordedRun(), save_on_stop=wish
    )
    while member.turn(1) is None:
        continue
    runs.train(tmp_path / "alone", **SHORT)
    assert len(seen) == 3
    assert adapter_bytes(tmp_path / "turns") == adapter_bytes(tmp_path / "alone")


def test_a_member_whose_time_is_up_is_evaluated_and_done(runs: TinyRuns, tmp_path: Path) -> None:
    sink, wish = RecordedRun(), threading.Event()
    member = runs.backend.trainer.member(runs.job(tmp_path, **SHORT | {"steps": 40}), sink, save_on_stop=wish)
    assert member.turn(1) is None
    outcome = member.turn(5, last=True)
    assert outcome is not None
    assert (outcome.step, sink.steps) == (2, 2)
    assert 2 in sink.evals
    assert Path(outcome.adapter).is_dir()


def test_a_packed_base_is_held_once_by_all_that_take_turns(runs: TinyRuns) -> None:
    bases, made = SharedBases(), []

    def make() -> Base:
        made.append(Base.__new__(Base))
        return made[-1]

    nf4 = runs.job(Path(), quant="nf4").spec
    held = [bases.get(runs.info, nf4, make) for _ in range(2)]
    assert (held[0] is held[1], len(made)) == (True, 1)
    assert bases.get(runs.info, runs.job(Path(), quant="nf4", method="pissa").spec, make) is not held[0]
