"""The engine is killed in the middle of a run; it comes back by itself, and the run ends as it would have."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from engine.api import lock_holder
from tests.support.command import qwill
from tests.support.pty_app import QWILL, ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.engine, pytest.mark.timeout(300)]
SECONDS = 200.0
WEIGHTS = "adapter_model.safetensors"
BASE = ("train", "--model", "demo", "--data", "shipped:pirate", "--limit", "24", "--batch", "2")
ASKED = (
    *BASE,
    *("--steps", "10", "--save-every", "3", "--eval-every", "3", "--seed", "3", "--follow", "--json"),
)


async def test_a_killed_engine_comes_back_and_the_run_ends_with_the_same_losses() -> None:
    whole = await qwill(*ASKED, "--name", "whole", timeout=SECONDS)
    assert (whole.code, whole.err) == (0, "")
    expected = json.loads(whole.out.splitlines()[-1])

    process = await asyncio.create_subprocess_exec(
        *QWILL,
        *ASKED,
        "--name",
        "cut",
        cwd=ROOT,
        env=dict(os.environ),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    steps: list[int] = []
    last: dict[str, Any] = {}
    engine = lock_holder()
    async with asyncio.timeout(SECONDS):
        while line := await process.stdout.readline():
            last = json.loads(line)
            if "losses" in last or "step" not in last:
                continue
            steps.append(last["step"])
            if last["step"] == 7 and lock_holder() == engine and engine is not None:
                os.kill(engine, signal.SIGKILL)
        assert await process.wait() == 0
    assert process.stderr is not None
    assert b"goes on with the run" in await process.stderr.read()
    assert lock_holder() != engine
    assert steps == list(range(1, 11))  # each step once, though some were computed again
    assert (last["state"], last["tries"], last["step"]) == ("done", 1, 10)
    assert last["resumed"][0] in (3, 6, 9)
    assert last["losses"] == expected["losses"]
    assert last["eval_losses"] == expected["eval_losses"]
    assert len(last["step_seconds"]) == 10
    assert {"train", "eval", "save"} <= set(last["peaks"])
    ours, theirs = (Path(found["adapter_folder"]) / WEIGHTS for found in (last, expected))
    assert ours.read_bytes() == theirs.read_bytes()
