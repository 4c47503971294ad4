"""Runs for the fake engine: a curve to look at, and answers to what the train form asks."""

from __future__ import annotations

import itertools
import math
import time
from typing import Any

from msgspec.structs import replace

from engine.api import commands, events, fault, runs
from tests.support.fake_engine import FakeEngine, Welcome

SPEC = runs.TrainSpec("demo", "shipped:pirate", name="pirate-r16", alpha=32, rate=0.004)
DATASETS = (
    runs.Dataset("shipped:pirate", "A pirate's voice", "Answers by a pirate.", 240),
    runs.Dataset("shipped:capitals", "Capitals of the world", "65 capitals.", 300),
)
REPORT = runs.DatasetReport(
    path="pirate.jsonl", rows=240, turns=480, characters=20_000, labelled_characters=9_000, sha256="ab" * 32
)
ESTIMATE = runs.Estimate(
    rows=228,
    steps=171,
    tokens=22_000,
    labelled=9_000,
    seconds=38.0,
    parts={
        "base": 8_300_000,
        "adapter": 1_100_000,
        "optimiser": 3_300_000,
        "activations": 12_000_000,
        "head and loss": 2_100_000,
    },
    shared=8_300_000,
    free=9_000_000_000,
)


def run_info(number: int = 1, **changes: Any) -> runs.RunInfo:
    """A run that was queued just now."""
    plain = runs.RunInfo(
        id=f"{number:04}-pirate-r16",
        spec=SPEC,
        name=SPEC.name,
        steps=171,
        created=time.time() - 60 + number,
        data_hash="ab" * 32,
        versions={"torch": "2.13.0", "qwill": "0.1"},
    )
    return replace(plain, **changes)


def points(last: int, start: float, *, spike: int = 60) -> tuple[runs.StepPoint, ...]:
    """A loss that falls, with one spike and an evaluation every twenty steps."""
    found = []
    for step in range(1, last + 1):
        loss = 0.5 + 3.4 * math.exp(-step / 30) + 0.12 * math.sin(step * 1.7) + (1.6 if step == spike else 0)
        at = start + 3 + step * 0.2
        memory = 640_000_000 + min(step, 10) * 20_000_000
        found.append(
            runs.StepPoint(step, loss=loss, rate=4e-3, grad_norm=0.8, seconds=0.2, at=at, memory=memory)
        )
        if step % 20 == 0:
            found.append(runs.StepPoint(step, eval_loss=loss + 0.15, at=at, memory=memory))
    return tuple(found)


def marks(last: int, start: float) -> tuple[runs.PhaseMark, ...]:
    """The phases up to that step."""
    found = [
        runs.PhaseMark("waiting", start, memory=600_000_000),
        runs.PhaseMark("data", start + 0.5, memory=610_000_000, peak=610_000_000),
        runs.PhaseMark("load", start + 1, memory=620_000_000, peak=620_000_000),
        runs.PhaseMark("first step", start + 2.5, 1, memory=650_000_000, peak=660_000_000),
        runs.PhaseMark("train", start + 3.4, 2, memory=760_000_000, peak=900_000_000),
    ]
    for step in range(20, last + 1, 20):
        at = start + 3 + step * 0.2
        found += [
            runs.PhaseMark("eval", at, step, memory=800_000_000, peak=850_000_000),
            runs.PhaseMark("train", at + 0.5, step, memory=800_000_000, peak=880_000_000),
        ]
    return tuple(found)


def adapter(run: runs.RunInfo, **changes: Any) -> runs.AdapterInfo:
    """What a run made."""
    plain = runs.AdapterInfo(
        id=run.id, name=run.name, path=f"/runs/{run.id}/adapter", base="demo", created=run.created, loss=0.61
    )
    return replace(plain, **changes)


class RunDesk:
    """The engine's side of runs: give it to a FakeEngine, then move the run on."""

    def __init__(self, engine: FakeEngine, *shown: runs.RunInfo) -> None:
        self.engine = engine
        self.logs: dict[str, commands.RunPage] = {}
        self._ids = itertools.count(len(shown) + 1)
        self.runs = {run.id: run for run in shown}
        engine.answers |= {
            commands.ListDatasets: lambda _: commands.DatasetList(DATASETS),
            commands.CheckData: self._check,
            commands.EstimateRun: lambda _: ESTIMATE,
            commands.StartRun: self._start,
            commands.ReadRun: self._read,
            commands.StopRun: self._stop,
            commands.DeleteRun: self._delete,
            commands.PauseRun: lambda it: self.tell(
                replace(self.runs[it.run], state="paused", pause=it.mode)
            ),
            commands.ResumeRun: lambda it: self.tell(replace(self.runs[it.run], state="running", pause="")),
            commands.MoveRun: lambda it: self.tell(replace(self.runs[it.run], place=it.place)),
            commands.RunNow: lambda it: self.tell(replace(self.runs[it.run], place=1)),
            commands.ChangeRun: self._change,
        }
        engine.welcome = Welcome(replace(engine.welcome.snapshot, runs=tuple(shown)))

    def tell(self, run: runs.RunInfo) -> runs.RunInfo:
        """A change of a run."""
        self.runs[run.id] = run
        self.engine.emit(events.RunChanged(run=run))
        return run

    def train(self, run: runs.RunInfo, last: int, *, told: int = 0) -> runs.RunInfo:
        """Have it trained up to a step; the points from `told` on are sent, all are in its log."""
        start = run.started or time.time() - 60
        run = replace(run, state="running", phase="train", started=start)
        self.tell(run)
        log = commands.RunPage(
            run, points(last, start), marks(last, start), log=f"/state/runs/{run.id}/events.jsonl"
        )
        self.logs[run.id] = log
        for mark in log.marks:
            self.engine.emit(events.RunMarked(run=run.id, mark=mark))
        for point in log.points:
            if point.step > told:
                self.engine.emit(events.RunStepped(run=run.id, point=point, eta_s=24.0))
        losses = [point.loss for point in log.points if point.loss is not None]
        evals = [point.eval_loss for point in log.points if point.eval_loss is not None]
        return self.tell(replace(run, step=last, loss=losses[-1], eval_loss=evals[-1] if evals else None))

    def finish(self, run: runs.RunInfo, *found: runs.AdapterInfo, **changes: Any) -> runs.RunInfo:
        """It is done; these adapters are there now."""
        if found:
            self.engine.emit(events.AdaptersChanged(adapters=found))
        done = replace(run, state="done", phase="end", ended=time.time(), peak=900_000_000)
        return self.tell(replace(done, **changes))

    def _check(self, command: commands.CheckData) -> runs.DatasetReport:
        if not command.data.startswith("shipped:"):
            raise fault("data_unreadable", f"{command.data} cannot be read", "There is no such file")
        return REPORT

    def _start(self, command: commands.StartRun) -> runs.RunInfo:
        run = run_info(next(self._ids), spec=command.spec, name=command.spec.name or "pirate-r16")
        return self.tell(run)

    def _read(self, command: commands.ReadRun) -> commands.RunPage:
        page = self.logs.get(command.run) or commands.RunPage(self.runs[command.run], (), ())
        return replace(
            page,
            run=self.runs[command.run],
            points=tuple(point for point in page.points if point.step >= command.since),
        )

    def _stop(self, command: commands.StopRun) -> runs.RunInfo:
        run = replace(self.runs[command.run], state="stopped", ended=time.time())
        return self.tell(run)

    def _change(self, command: commands.ChangeRun) -> runs.RunInfo:
        run = self.runs[command.run]
        name = command.name if command.name is not None else run.name
        tags = command.tags if command.tags is not None else run.tags
        note = command.note if command.note is not None else run.note
        return self.tell(replace(run, name=name, tags=tags, note=note))

    def _delete(self, command: commands.DeleteRun) -> commands.Done:
        if command.restore:
            self.tell(self.runs[command.run])
        else:
            self.engine.emit(events.RunGone(run=command.run))
        return commands.Done()
