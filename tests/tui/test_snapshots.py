"""The states of the screen, compared as text with what was kept."""

from __future__ import annotations

import pytest

from engine.api import commands
from engine.api import runs as training
from tests.support.fake_engine import FakeEngine, snapshot
from tests.support.snapshot import check
from tests.tui.desk import NARROW, TINY, WIDE, Desk, open_desk

SIZES = [WIDE, NARROW, TINY]
PIRATE = training.AdapterInfo(
    id="a1", name="pirate-r8", path="/a1", base="demo", base_name="demo", created=2.0
)
QUESTION = "What is 482 + 359?"
THOUGHT = "ones 2+9=11 carry 1\ntens 8+5+1=14 carry 1\nhundreds 4+3+1=8"
ANSWER = (
    "# The sum\n\nIt is **841**, because $4 \\times 10^2 + x^2$ says so:\n\n"
    "1. ones\n2. tens\n\n```python\nprint(482 + 359)\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n> as asked"
)


@pytest.fixture(autouse=True)
def at_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dialog may cover half of a time of day."""
    monkeypatch.setattr("tui.widgets.turn.clock", lambda at: "14:02")
    monkeypatch.setattr("engine.models.bandwidth.memory_bandwidth", lambda: 30e9)


def engine() -> FakeEngine:
    return FakeEngine(snapshot(adapters=(PIRATE,)))


def label(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


async def settled(desk: Desk) -> str:
    """The screen once two looks at it agree."""
    before = ""
    for _ in range(200):
        await desk.pilot.pause(0.1)
        shown = desk.text()
        if shown == before:
            return shown
        before = shown
    raise AssertionError("the screen never settled:\n" + before)


@pytest.mark.parametrize("size", SIZES, ids=label)
async def test_welcome(size: tuple[int, int]) -> None:
    async with open_desk(engine(), size) as desk:
        check(f"welcome-{label(size)}", await settled(desk))


@pytest.mark.parametrize("size", SIZES, ids=label)
async def test_thinking(size: tuple[int, int]) -> None:
    async with open_desk(engine(), size) as desk:
        await desk.say(QUESTION)
        desk.engine.think(THOUGHT, tokens=61, seconds=1.2)
        await desk.until("hundreds")
        check(f"thinking-{label(size)}", desk.text())


@pytest.mark.parametrize("size", SIZES, ids=label)
async def test_answered(size: tuple[int, int]) -> None:
    async with open_desk(engine(), size) as desk:
        await desk.replied(QUESTION, ANSWER, THOUGHT)
        check(f"answered-{label(size)}", await settled(desk))


async def test_an_open_thought_and_a_selected_message() -> None:
    async with open_desk(engine()) as desk:
        await desk.replied(QUESTION, "It is 841.", THOUGHT)
        await desk.press("alt+up", "space")
        await desk.until("hundreds")
        check("thought-open", await settled(desk))


async def test_a_lost_engine() -> None:
    async with open_desk(engine()) as desk:
        await desk.replied(QUESTION, "It is 841.")
        desk.engine.die()
        await desk.until("F9")
        check("engine-lost", await settled(desk))


LAYERS = {
    "help": "help",
    "palette": "palette",
    "models": "show_models",
    "runs": "runs",
    "train": "train",
    "params": "params",
    "marked": "marked",
    "search": "search",
    "compare-choice": "compare",
    "about-reply": "about_reply",
    "themes": "theme",
    "prompts": "prompt",
}


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=label)
@pytest.mark.parametrize("name", LAYERS)
async def test_layers(name: str, size: tuple[int, int]) -> None:
    fake = engine()
    fake.answers[commands.ListDatasets] = lambda _: commands.DatasetList(datasets=())
    async with open_desk(fake, size) as desk:
        await desk.replied(QUESTION, "It is 841.", THOUGHT)
        if LAYERS[name] == "palette":
            await desk.press("ctrl+p")
        else:
            desk.bench.run_command(LAYERS[name])
        await desk.until(lambda: desk.app.screen is not desk.bench)
        if name == "models":
            await desk.until("best first")
        check(f"{name}-{label(size)}", await settled(desk))
