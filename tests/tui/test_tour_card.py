"""The tour: each step is recognised by what the person did, and its card hides, skips and comes back."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.api import commands, events
from tests.support.fake_engine import REAL, FakeEngine, snapshot
from tests.support.fake_runs import RunDesk, adapter, run_info
from tests.tui.desk import NARROW, TINY, WIDE, Desk, open_desk
from tui.actions import BY_ID
from tui.remembered import keep, recall
from tui.tour import FINISHED, STEPS, Step, after, resume, steps

THERE = [step.id for step in steps(BY_ID)]


async def at(desk: Desk, step: str, words: str = "") -> None:
    """Wait until the card shows this step, and these words of it."""
    title = next(each.title for each in STEPS if each.id == step)
    await desk.until(lambda: desk.bench.card.shown[1] == title and words in desk.bench.card.shown[2])


async def start(desk: Desk, step: str) -> None:
    """Open the tour at a step."""
    keep("tour", step)
    desk.bench.run_command("tour")
    await at(desk, step)


def test_every_step_names_actions_that_exist() -> None:
    named = re.findall(r"\{(\w+)\}", " ".join(s.words + s.aside for step in STEPS for s in step.stages))
    assert len(named) >= 10
    assert [action for action in named if action not in BY_ID] == []
    assert len(STEPS) == 6
    assert len({step.id for step in STEPS}) == 6
    assert [step.needs for step in STEPS if step.needs and step.needs not in BY_ID] == []


def test_a_step_without_its_action_is_left_out_and_the_others_follow_each_other() -> None:
    there = steps({})
    assert [step.id for step in there] == [step.id for step in STEPS if not step.needs]
    walked: list[Step] = [there[0]]
    while (following := after(walked[-1], there)) is not None:
        walked.append(following)
    assert walked == there
    assert resume("memory", there).id == "memory"
    assert resume(FINISHED, there) is there[0]


@pytest.mark.parametrize("size", [WIDE, NARROW, TINY], ids=["120x40", "80x24", "40x12"])
async def test_the_card_is_offered_opened_hidden_and_brought_back(size: tuple[int, int]) -> None:
    async with open_desk(FakeEngine(), size) as desk:
        if size != TINY:
            assert "/tour" in await desk.until("new here?")
        desk.bench.composer.put("/tour")
        await desk.press("enter")
        await at(desk, THERE[0])
        await desk.until("Ask the demo model something" if size == TINY else "Tour 1 of")
        assert desk.bench.focused is desk.bench.composer
        await desk.press("escape")
        await desk.until(lambda: not desk.bench.card.on_screen)
        assert recall("tour") == THERE[0]
        desk.bench.run_command("tour")
        await desk.until(lambda: desk.bench.card.on_screen)
        assert "new here?" not in desk.text()


async def test_n_on_the_card_skips_and_in_the_composer_it_is_a_letter() -> None:
    async with open_desk() as desk:
        await start(desk, THERE[0])
        await desk.press("n")
        assert desk.bench.composer.text == "n"
        desk.bench.composer.put("")
        await desk.press("tab", "tab", "tab")
        assert desk.bench.focused is desk.bench.card
        await desk.press("n")
        await at(desk, THERE[1])
        await desk.press("escape")
        await desk.until(lambda: not desk.bench.card.on_screen)
        assert desk.bench.focused is desk.bench.composer
        assert recall("tour") == THERE[1]


async def test_skipping_every_step_ends_the_tour_and_it_can_begin_again() -> None:
    async with open_desk() as desk:
        await start(desk, THERE[0])
        for step in [*THERE[1:], ""]:
            desk.bench.run_command("tour", "next")
            if step:
                await at(desk, step)
        await desk.until("That was the tour.")
        assert not desk.bench.card.on_screen
        assert recall("tour") == FINISHED
        desk.bench.run_command("tour")
        await at(desk, THERE[0])


async def test_thinking_on_and_off() -> None:
    async with open_desk() as desk:
        await start(desk, "thinking")
        await desk.replied("What is 482 + 359?", "841", "Let me add.")
        await at(desk, "thinking", "Ctrl+T")
        await desk.press("ctrl+t")
        await at(desk, "thinking", "Ask the same again")
        await desk.replied("And now?", "842")
        await at(desk, "train")


async def test_a_first_adapter_and_what_the_form_says_of_the_tour() -> None:
    trainer = RunDesk(FakeEngine())
    async with open_desk(trainer.engine) as desk:
        await start(desk, "train")
        await desk.press("f4")
        await desk.until("Tour: Ctrl+S starts it as it stands.")
        await desk.press("ctrl+s")
        await at(desk, "train", "the loss falls")
        done = adapter(run_info())
        desk.engine.emit(events.AdaptersChanged(adapters=(done,)))
        await at(desk, "compare", "F8")


async def test_base_against_adapter() -> None:
    first = snapshot(adapters=(adapter(run_info()),), runs=(run_info(state="done"),))
    async with open_desk(FakeEngine(first)) as desk:
        await start(desk, "compare")
        await desk.press("f8")
        await at(desk, "compare", "who answers now")
        name = desk.bench.state.settings().adapter
        await desk.say("What is 48 + 35?")
        desk.engine.finish("Arr, 83", adapter=name)
        await at(desk, "compare", "takes it off")
        await desk.press("f8")
        await at(desk, "compare", "never changed")
        await desk.replied("What is 48 + 35? again", "83")
        await at(desk, "memory")


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["120x40", "80x24"])
async def test_memory_and_own_data(size: tuple[int, int], tmp_path: Path) -> None:
    mine = tmp_path / "mine.jsonl"
    mine.write_text("{}\n")
    trainer = RunDesk(FakeEngine())
    async with open_desk(trainer.engine, size) as desk:
        await start(desk, "memory")
        await desk.press("f5")
        await desk.until("Tour: ← reads the curve")
        await desk.press("f5")
        await at(desk, "data")
        desk.bench.run_command("train", str(mine))
        await desk.until(lambda: recall("tour") == FINISHED)
        await desk.press("escape")
        await desk.until(lambda: not desk.bench.card.on_screen)


@pytest.mark.skipif("inspect" not in BY_ID, reason="no inspector")
async def test_the_next_word() -> None:
    async with open_desk() as desk:
        desk.engine.answers[commands.InspectReply] = lambda _: commands.Inspection(tokens=())
        await start(desk, "word")
        await desk.replied("What is 482 + 359?", "841", "Let me add.")
        await at(desk, "word", "how sure")
        desk.bench.run_command("inspect")
        await at(desk, "thinking")


async def test_on_another_model_the_tour_opens_a_chat_on_the_demo() -> None:
    engine = FakeEngine(snapshot(models=(*snapshot().models[:1], replace(REAL, state="ready"))))
    engine.add_chat("c1", "Old one", ("Hi", "Hello"))
    engine.chats["c1"] = replace(engine.chats["c1"], model=REAL.id)
    engine.welcome = type(engine.welcome)(
        replace(engine.welcome.snapshot, chats=tuple(engine.chats.values()))
    )
    async with open_desk(engine) as desk:
        await desk.until(lambda: desk.bench.state.chat == "c1")
        desk.bench.run_command("tour")
        await at(desk, THERE[0])
        assert desk.bench.state.chat == ""
        assert desk.bench.state.model_id() == "demo"
        await desk.until("demo answers here")
