"""`python -m tests.bench.attached`: what a workbench that shows a reply costs its decode, and itself.

The same greedy reply is written with no screen open and with one that shows it, in turn, by one engine; the
texts are compared first. Prints tokens/s of both, the ratio, and the screen's CPU time a token.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from engine.api import Client, commands, connect, specs
from tests.support.pty_app import QWILL, PtyApp

ROUNDS = 4
"""The first one warms up and is left out."""
TOKENS = 800
QUESTION = "Go on."
LIMIT = 0.90
"""Decode with a screen against none where the decode uses every core (docs/performance.md)."""


def main() -> int:
    """Print the table; returns 0 whatever the numbers are."""
    with tempfile.TemporaryDirectory(prefix="qw-") as folder:
        _isolate(Path(folder))
        return asyncio.run(_measure(_model(Path(folder) / "long-winded")))


def _isolate(folder: Path) -> None:
    for name in ("STATE", "DATA", "CONFIG", "CACHE"):
        os.environ[f"XDG_{name}_HOME"] = str(folder / name.lower())
    os.environ |= {"HOME": str(folder), "HF_HOME": str(folder / "hf"), "HF_HUB_OFFLINE": "1"}


def _model(folder: Path) -> str:
    """Random weights that never stop: 8 layers of width 256, with the small vocabulary of the tests."""
    from tests.support.tiny import tiny_model

    sizes = {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 8}
    tiny_model(folder, "qwen3", max_position_embeddings=4096, **sizes)
    return str(folder)


async def _measure(model: str) -> int:
    client = await connect()
    listening = asyncio.create_task(_listen(client))
    await client.request(commands.LoadModel(model=model))
    alone: list[float] = []
    shown: list[float] = []
    cpu: list[float] = []
    texts: set[str] = set()
    try:
        for _ in range(ROUNDS):
            text, speed, _ = await _reply(client, model, None)
            texts.add(text)
            alone.append(speed)
            with PtyApp([*QWILL, "-m", model], dict(os.environ)) as app:
                await app.until("Enter send")
                text, speed, spent = await _reply(client, model, app)
            texts.add(text)
            shown.append(speed)
            cpu.append(spent / TOKENS * 1000)
    finally:
        listening.cancel()
        await client.request(commands.Shutdown())
        await client.close()
    assert len(texts) == 1, "the replies differ"
    before, beside = statistics.median(alone[1:]), statistics.median(shown[1:])
    print(f"decode, no screen       {before:8.1f} tokens/s")
    print(f"decode, screen open     {beside:8.1f} tokens/s   ratio {beside / before:.2f} (at least {LIMIT})")
    print(f"the screen's CPU time   {statistics.median(cpu[1:]):8.2f} ms a token, same greedy text")
    return 0


async def _listen(client: Client) -> None:
    """A client that takes no events is given no answers either."""
    async for _ in client.events():
        pass


async def _reply(client: Client, model: str, app: PtyApp | None) -> tuple[str, float, float]:
    """One long reply in a new chat, asked on the screen if there is one: text, tokens/s, its CPU seconds."""
    before = _cpu(app.pid) if app is not None else 0.0
    chats = len((await client.request(commands.ListChats())).chats)
    if app is None:
        sampling = specs.Sampling(temperature=0, max_tokens=TOKENS)
        settings = specs.ChatSettings(think=False, sampling=sampling)
        chat = await client.request(commands.NewChat(model=model, settings=settings))
        await client.request(commands.Send(chat=chat.id, text=QUESTION))
    else:
        for words in ("/no_think", "/set temperature 0", f"/set max_tokens {TOKENS}", QUESTION):
            app.type(words)
            await app.until(words)
            app.press("enter")
            await asyncio.sleep(0.3)
    reply = None
    while reply is None or reply.live:
        await asyncio.sleep(0.2)
        if app is not None:
            app.pump()
        newest = (await client.request(commands.ListChats())).chats
        there = len(newest) > chats
        page = await client.request(commands.ReadChat(chat=newest[0].id)) if there else None
        reply = page.messages[-1] if page and page.messages[-1].role == "assistant" else None
    assert reply.stats is not None
    assert reply.stats.tokens == TOKENS
    return reply.text, reply.stats.tokens_per_s, (_cpu(app.pid) - before if app is not None else 0.0)


def _cpu(pid: int) -> float:
    """CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    began = time.monotonic()
    code = main()
    print(f"({time.monotonic() - began:.0f} s)")
    sys.exit(code)
