"""On a terminal the command asks before another model has to go; the engine here is scripted to refuse."""

from __future__ import annotations

import pytest

from engine.api import commands, fault, specs
from tests.support.command import qwill
from tests.support.pty_app import QWILL, PtyApp
from tests.support.scripted import Script, engine_with

pytestmark = pytest.mark.e2e
MODEL = specs.ModelInfo("big", "big", state="ready", memory=3 << 30, load_dtype="bfloat16", device="cpu")
LOAD = ("models", "load", "big")


def refusing() -> Script:
    script = Script(models=(MODEL,))
    script.refusals.append(
        fault("would_evict", "demo would have to go", "The open workbench uses it", "Wait")
    )
    return script


def loads(script: Script) -> list[bool]:
    """The `evict` of each LoadModel that came."""
    return [command.evict for command in script.asked if isinstance(command, commands.LoadModel)]


@pytest.mark.parametrize(("answer", "code", "tries"), [("y", 0, [False, True]), ("", 1, [False])])
async def test_the_answer_decides(answer: str, code: int, tries: list[bool]) -> None:
    async with engine_with(refusing()) as script:
        with PtyApp([*QWILL, *LOAD]) as app:
            await app.until("demo would have to go. The open workbench uses it. Let it go? [y/N]")
            app.type(answer + "\r")
            assert await app.exited() == code
            assert ("big is loaded: 3.0 G, bfloat16, cpu." in app.text()) == (code == 0)
            assert ("Add --evict" in app.text()) == (code == 1)
    assert loads(script) == tries


async def test_in_a_script_it_fails_and_names_the_option() -> None:
    async with engine_with(refusing()) as script:
        done = await qwill(*LOAD, "--json")
    assert done.code == 1
    assert done.json["error"]["code"] == "would_evict"
    assert "--evict" in done.json["error"]["remedy"]
    assert loads(script) == [False]


async def test_evict_does_not_ask() -> None:
    async with engine_with(Script(models=(MODEL,))) as script:
        assert (await qwill(*LOAD, "--evict")).code == 0
    assert loads(script) == [True]
