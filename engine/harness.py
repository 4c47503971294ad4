"""lm-evaluation-harness beside the engine: a process of its own, with progress, and an end when asked."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import Any

from engine.bus import Bus
from engine.chatbook import new_id
from engine.protocol.commands import Done, HarnessScore, HarnessScores, StartHarness, StopEvaluation
from engine.protocol.errors import EngineError, fault
from engine.protocol.events import EvaluationMoved
from engine.protocol.specs import ModelInfo
from engine.runs.adapters import Adapters
from engine.shelf import Shelf

LINE_LIMIT = 1 << 22
"""Bytes of one line of the process at most: results of many tasks."""


class Harness:
    """Answers the commands. Used from the loop's thread."""

    def __init__(
        self,
        bus: Bus,
        shelf: Shelf,
        adapters: Adapters,
        stop_other: Callable[[StopEvaluation], Awaitable[Done]],
    ) -> None:
        """`stop_other`: ends the evaluations that are none of ours."""
        self._bus = bus
        self._shelf = shelf
        self._adapters = adapters
        self._stop_other = stop_other
        self._under_way: dict[str, asyncio.subprocess.Process] = {}

    @property
    def busy(self) -> bool:
        return bool(self._under_way)

    def close(self) -> None:
        """Stop what is under way."""
        for process in self._under_way.values():
            _kill(process)

    async def stop(self, command: StopEvaluation) -> Done:
        """Raises EngineError `evaluation_ended`."""
        process = self._under_way.get(command.job)
        if process is None:
            return await self._stop_other(command)
        _kill(process)
        return Done()

    async def start(self, command: StartHarness) -> HarnessScores:
        """See StartHarness."""
        if find_spec("lm_eval") is None:
            raise fault(
                "extra_missing",
                "lm-evaluation-harness is not installed",
                "Its package is lm-eval",
                'Install it with `pip install "qwill[eval]"`',
            )
        model = await self._shelf.find(command.model)
        if model.runs_on != "torch":
            raise fault(
                "harness_failed",
                f"{model.name} cannot be measured by the harness",
                "It needs a folder with safetensors files",
                "Choose the same model as such a folder",
            )
        adapter = await self._adapters.resolve(command.adapter, model) if command.adapter else None
        job = command.job or new_id()
        if job in self._under_way:
            raise fault("evaluation_runs", "An evaluation of this name is under way already")
        began = time.monotonic()
        scores = await self._measured(job, command, model, adapter.path if adapter else "")
        return HarnessScores(job, model.id, scores, time.monotonic() - began)

    async def _measured(
        self, job: str, command: StartHarness, model: ModelInfo, adapter: str
    ) -> tuple[HarnessScore, ...]:
        asked = {"model": model.path, "adapter": adapter, "tasks": command.tasks, "limit": command.limit}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "engine.workers.harness",
            json.dumps(asked),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=LINE_LIMIT,
        )
        self._under_way[job] = process
        try:
            said = await self._followed(job, process, model.name)
            await process.wait()
        finally:
            self._under_way.pop(job, None)
            _kill(process)  # the client may have left
        return _scores(said, process.returncode)

    async def _followed(self, job: str, process: asyncio.subprocess.Process, name: str) -> dict[str, Any]:
        """Tell how far it is, until it says what came of it; that, or empty."""
        assert process.stdout is not None
        said: dict[str, Any] = {}
        async for raw in process.stdout:
            try:
                found = json.loads(raw)
            except ValueError:
                continue
            if "done" in found:
                self._bus.publish(EvaluationMoved(job, found["done"], found["total"], name))
            else:
                said = found
        return said


def _kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()


def _scores(said: dict[str, Any], code: int | None) -> tuple[HarnessScore, ...]:
    """What it found. Raises EngineError."""
    if "scores" in said:
        return tuple(HarnessScore(**score) for score in said["scores"])
    if code is not None and code < 0 and not said:
        raise fault("cancelled", "The harness was stopped")
    raise _failed(str(said.get("error", f"It ended with exit code {code}")))


def _failed(why: str) -> EngineError:
    return fault(
        "harness_failed",
        "lm-evaluation-harness did not measure it",
        why,
        "Check the names of the tasks; a task of the hub needs its data set here",
    )
