"""A run that trains for as long as a test wants, and what its log tells of its steps."""

from __future__ import annotations

import asyncio
from statistics import median

from engine.api import Client, commands, runs

NEVER = 100_000
"""Steps; also between two evaluations, so that nothing but steps takes time."""
SECONDS = 240.0


async def training(client: Client) -> str:
    """Id of a run of the demo that takes steps: the one that does already, or a new one."""
    found = (await client.request(commands.ListRuns())).runs
    under_way = next((run for run in found if run.state == "running"), None)
    if under_way is None:
        spec = runs.TrainSpec(
            "demo", "shipped:pirate", steps=NEVER, eval_every=NEVER, save_every=NEVER, limit=24, batch=1
        )
        under_way = await client.request(commands.StartRun(spec))
    await step_after(client, under_way.id, 4)
    return str(under_way.id)


async def step_after(client: Client, run: str, step: int) -> int:
    """Wait until a run has come past a step; which one it took then. Fails where the run ends."""
    async with asyncio.timeout(SECONDS):
        while True:
            info = (await client.request(commands.ReadRun(run, NEVER * 2))).run
            assert info.state not in runs.ENDED_STATES, info
            if info.step > step:
                return int(info.step)
            await asyncio.sleep(0.02)


async def steps_since(client: Client, run: str, step: int) -> list[runs.StepPoint]:
    """Every step of the log after one."""
    points: list[runs.StepPoint] = []
    while True:
        since = points[-1].step + 1 if points else step + 1
        page: commands.RunPage = await client.request(commands.ReadRun(run, since))
        points += [point for point in page.points if point.loss is not None]
        if not (page.more and page.points):
            return points


def missing(points: list[runs.StepPoint]) -> list[int]:
    """Steps between the first and the last that are not there."""
    return sorted(set(range(points[0].step, points[-1].step + 1)) - {point.step for point in points})


def longest_gap(points: list[runs.StepPoint], around: list[float] | None = None) -> float:
    """Of the time between two steps, the most in which no step was computed, in steps of usual length.

    `around`: only of those in which one of these moments lies, by the wall clock.
    """
    gaps = [
        later.at - sooner.at - later.seconds
        for sooner, later in zip(points, points[1:], strict=False)
        if around is None or any(sooner.at <= moment <= later.at for moment in around)
    ]
    return max(gaps, default=0.0) / usual(points)


def usual(points: list[runs.StepPoint]) -> float:
    """Seconds that a step takes: the median."""
    return median(point.seconds for point in points)
