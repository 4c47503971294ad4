"""Samples of the machine: the running engine's, which knows what its bytes are, else taken here."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from msgspec.structs import replace

from engine.api import Client, EngineLost, QwillError, connect, events, lock_holder, machine_sampler, specs

PERIOD = 1.0
"""Seconds between two samples."""
SETTLE_SECONDS = 0.25
"""Over which the CPU is measured for a single one."""
ANSWER_SECONDS = 3.0
"""That an engine has to answer, and between two of its samples; after that they are taken here."""
AGAIN = 30
"""Samples taken here of an engine that did not answer, until it is asked again."""
Sampled = tuple[specs.MonitorSample, int | None]
"""A sample, and the engine's process, if one runs."""


async def one() -> Sampled:
    """The machine now. Starts no engine."""
    engine = lock_holder()
    client = await _attached(engine)
    if client is None:
        return await _taken(engine, SETTLE_SECONDS)
    try:
        async for sample in _in_time(client):
            return sample, engine
    except (TimeoutError, EngineLost):
        pass  # it hangs, or leaves in this moment: the machine is still to be told of
    finally:
        await client.close()
    return await _taken(lock_holder(), SETTLE_SECONDS)


async def stream() -> AsyncIterator[Sampled]:
    """One a second, without end: an engine that starts is attached to, one that ends or hangs is left.

    One that hung is attached to again once it answers.
    """
    while True:
        engine = lock_holder()
        client = await _attached(engine)
        if client is not None:
            try:
                async for sample in _in_time(client):
                    yield sample, engine
            except (TimeoutError, EngineLost):
                pass
            finally:
                await client.close()
        engine = lock_holder()
        sampler, taken = machine_sampler(engine), 0
        while lock_holder() == engine and (engine is None or taken < AGAIN):
            await asyncio.sleep(PERIOD)
            yield _without(sampler.sample(), engine), engine
            taken += 1


async def _attached(engine: int | None) -> Client | None:
    """None where no engine runs, or none that can be talked to."""
    if engine is None:
        return None
    with contextlib.suppress(QwillError, TimeoutError, OSError):
        client = await asyncio.wait_for(connect(start=False), ANSWER_SECONDS)
        if not client.older:
            return client
        await client.close()
    return None


async def _in_time(client: Client) -> AsyncIterator[specs.MonitorSample]:
    """Its samples. Raises TimeoutError where it sends none for a while, EngineLost when it ends."""
    following = client.events()
    while True:
        sample: specs.MonitorSample | None = None
        async with asyncio.timeout(ANSWER_SECONDS):
            while sample is None:
                event = await anext(following, None)
                if event is None:
                    return
                if isinstance(event.body, events.Sampled):
                    sample = event.body.sample
        yield sample


async def _taken(engine: int | None, seconds: float) -> Sampled:
    sampler = machine_sampler(engine)
    sampler.sample()  # from which the CPU's load is counted
    await asyncio.sleep(seconds)
    return _without(sampler.sample(), engine), engine


def _without(sample: specs.MonitorSample, engine: int | None) -> specs.MonitorSample:
    """Without an engine the sampler counted this process as one."""
    if engine is not None:
        return sample
    told = tuple(replace(pool, ours=0) if pool.kind in ("ram", "unified") else pool for pool in sample.pools)
    return replace(sample, engine_rss=0, engine_mapped=0, engine_pss=None, engine_cpu=0.0, pools=told)
