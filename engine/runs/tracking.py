"""Trackers of a run: one small process each, fed from the run's log. None can slow or fail the run."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any

from engine.protocol.errors import fault
from engine.protocol.runs import RunFinding
from engine.protocol.training import Tracker
from engine.runs import folder
from engine.runs.live import LiveRun

log = logging.getLogger(__name__)
TITLES: dict[Tracker, str] = {
    "tensorboard": "TensorBoard",
    "trackio": "trackio",
    "wandb": "W&B",
    "mlflow": "MLflow",
}
"""As people call them; the package and our extra have the name of the key."""
END_SECONDS = 60.0
"""That a tracker may take to hand the rest over, while the next run trains already."""
REPLAY_SECONDS = 600.0
"""For all of a finished run."""


def require_trackers(trackers: Iterable[Tracker]) -> None:
    """Raises EngineError `extra_missing` for the first whose package is not installed."""
    for tracker in trackers:
        if find_spec(tracker) is None:
            raise fault(
                "extra_missing",
                f"{TITLES[tracker]} is not installed",
                f"Its package is {tracker}",
                f'Install it with `pip install "qwill[{tracker}]"`, or leave the tracker out',
            )


class Trackers:
    """Those of one run while it goes. Used from the loop's thread."""

    def __init__(self, live: LiveRun) -> None:
        self._live = live
        self._processes: list[asyncio.subprocess.Process] = []
        self._watchers: set[asyncio.Task[None]] = set()
        self._over = False

    async def start(self) -> None:
        """One process for each tracker of the spec. Never raises."""
        for tracker in self._live.info.spec.trackers:
            try:
                require_trackers([tracker])
                process = await _process(self._live.info.id, tracker, "--live", str(self._live.info.step))
            except Exception as error:  # no tracker may fail a run
                self._failed(tracker, str(error))
                continue
            self._processes.append(process)
            watcher = asyncio.create_task(self._watch(tracker, process))
            self._watchers.add(watcher)
            watcher.add_done_callback(self._watchers.discard)

    def end(self, state: str) -> None:
        """Tell them how the run ended; they read the rest by themselves."""
        self._over = True
        for process in self._processes:
            if process.stdin is not None:
                with contextlib.suppress(OSError, RuntimeError):
                    process.stdin.write(f"{state}\n".encode())
                    process.stdin.close()
        _ending.update(self._watchers)
        for watcher in self._watchers:
            watcher.add_done_callback(_ending.discard)

    async def _watch(self, tracker: Tracker, process: asyncio.subprocess.Process) -> None:
        said = await _said(process)
        if "error" in said or not said:
            self._failed(tracker, str(said.get("error", "its process ended")))

    def _failed(self, tracker: Tracker, why: str) -> None:
        name = TITLES[tracker]
        log.warning("%s: %s takes no more of this run: %s", self._live.info.id, name, why)
        if not self._over:
            title = f"{name} takes no more of this run: {why.splitlines()[0] if why else 'it ended'}"
            self._live.found(RunFinding("tracker", self._live.info.step, title))


_ending: set[asyncio.Task[None]] = set()
"""Of runs that have ended: kept until they are done."""


async def replay(run: str, tracker: Tracker) -> dict[str, Any]:
    """Hand a finished run to a tracker: where it went and how many points.

    Raises EngineError `extra_missing`, `tracker_failed`.
    """
    require_trackers([tracker])
    process = await _process(run, tracker)
    try:
        said = await asyncio.wait_for(_said(process), REPLAY_SECONDS)
    except TimeoutError:
        said = {"error": "It took too long"}
    finally:
        if process.returncode is None:
            process.kill()
    if "place" not in said:
        why = str(said.get("error", "Its process ended without an answer"))
        raise fault("tracker_failed", f"{TITLES[tracker]} did not take the run", why, "See its own messages")
    return said


async def _process(run: str, tracker: Tracker, *more: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "engine.workers.tracking",
        tracker,
        str(folder.folder(run)),
        *more,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )


async def _said(process: asyncio.subprocess.Process) -> dict[str, Any]:
    """Its last line; empty where it said none."""
    assert process.stdout is not None
    out = await process.stdout.read()
    await process.wait()
    try:
        found = json.loads(out.decode("utf-8", "replace").splitlines()[-1])
    except (IndexError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
