"""Two to four answers side by side: what is asked for, what is marked, and what a vote stores."""

from __future__ import annotations

import msgspec

from engine.api import commands, specs
from engine.api import runs as training
from tests.support.fake_engine import FakeEngine, snapshot
from tests.tui.desk import NARROW, Desk, open_desk
from tui.compare import differing, parting, plans
from tui.screens.compare import Compare
from tui.state import EngineState

PIRATE = training.AdapterInfo(id="a1", name="pirate", base="demo", base_name="demo", path="/a1", created=2.0)
QUESTION, ANSWER = "What is 2 + 3?", "It is 5."


def engine() -> FakeEngine:
    fake = FakeEngine(snapshot(adapters=(PIRATE,)))
    fake.add_chat("c1", "Sums", (QUESTION, ANSWER))
    return fake


async def compare(desk: Desk, what: str) -> Compare:
    """Open a comparison with all its replies queued."""
    await desk.until(ANSWER)
    desk.bench.run_command("compare", what)
    await desk.until(lambda: isinstance(desk.app.screen, Compare))
    screen = desk.app.screen
    assert isinstance(screen, Compare)
    await desk.until(lambda: all(column.message for column in screen.columns))
    return screen


async def finish(desk: Desk, screen: Compare, *texts: str) -> None:
    for column, text in zip(screen.columns, texts, strict=True):
        desk.engine.finish_aside(column.message, "c1", text, parent="m1")
    await desk.until(lambda: all(turn is not None and not turn.live for turn in screen.turns))


def test_words_that_differ_are_found_by_their_places() -> None:
    first, other = "It is 5, matey.", "It is 6, matey!"
    assert [other[start:end] for start, end in differing(first, other)] == ["6", "!"]
    assert parting(first, other) == 3
    assert parting(first, first) is None
    assert parting("It is", "It is 5") == 3
    assert differing("", "") == []


def test_only_what_makes_a_difference_is_offered() -> None:
    state = EngineState()
    model = specs.ModelInfo(id="m", name="m", thinking="never", state="ready")
    state.models["m"] = model
    assert [plan.id for plan in plans(state, model, specs.ChatSettings())] == ["temperature", "seeds"]
    switchable = msgspec.structs.replace(model, thinking="switchable")
    other = msgspec.structs.replace(model, id="o", name="o")
    state.models["o"] = other
    found = plans(state, switchable, specs.ChatSettings())
    assert [plan.id for plan in found] == ["thinking", "temperature", "seeds", "models"]
    assert {variant.model for variant in found[-1].variants} == {"m", "o"}


async def test_columns_ask_for_versions_beside_the_path() -> None:
    async with open_desk(engine()) as desk:
        screen = await compare(desk, "thinking")
        asked = desk.engine.asked(commands.Regenerate)
        assert [command.settings.think for command in asked] == [True, False]
        assert not any(command.show for command in asked)
        assert len(desk.bench.state.engine.pages["c1"].path) == 2
        await finish(desk, screen, "It is 5.", "It is 6.")
        await desk.until("differs from word 3 on")


async def test_an_adapter_stands_beside_the_model_alone() -> None:
    async with open_desk(engine()) as desk:
        await compare(desk, "adapter")
        assert [each.settings.adapter for each in desk.engine.asked(commands.Regenerate)] == ["", "a1"]
        text = desk.text()
        assert "demo alone" in text
        assert "+ pirate" in text


async def test_a_vote_names_the_winner_and_what_it_beat() -> None:
    async with open_desk(engine()) as desk:
        screen = await compare(desk, "seeds")
        await desk.press("2")
        await desk.until("Wait until all replies are complete")
        assert not desk.engine.asked(commands.Vote)
        await finish(desk, screen, "one", "two", "three")
        await desk.press("2")
        await desk.until("seed 2 wins")
        ids = [column.message for column in screen.columns]
        assert desk.engine.asked(commands.Vote) == [
            commands.Vote(chat="c1", winner=ids[1], over=(ids[0], ids[2]))
        ]
        await desk.press("1")
        await desk.until("stored already")
        desk.engine.answers[commands.ShowVersion] = lambda _: desk.engine.chats["c1"]
        await desk.press("enter")
        await desk.until(lambda: desk.app.screen is desk.bench)
        assert desk.engine.asked(commands.ShowVersion)[0].message == ids[1]


async def test_all_bad_and_ties_have_no_winner() -> None:
    async with open_desk(engine()) as desk:
        screen = await compare(desk, "thinking")
        await finish(desk, screen, "one", "two")
        await desk.press("b")
        await desk.until("All bad")
        vote = desk.engine.asked(commands.Vote)[0]
        assert (vote.winner, vote.all_bad, len(vote.over)) == ("", True, 2)


async def test_blind_hides_the_names_until_the_vote() -> None:
    async with open_desk(engine(), NARROW) as desk:
        screen = await compare(desk, "thinking")
        await desk.press("h")
        await desk.until(lambda: "not thinking" not in desk.text())
        await finish(desk, screen, "one", "two")
        await desk.press("0")
        await desk.until("A tie")
        await desk.until("not thinking")


async def test_leaving_stops_what_is_still_being_written() -> None:
    async with open_desk(engine()) as desk:
        screen = await compare(desk, "thinking")
        ids = {column.message for column in screen.columns}
        await desk.press("escape")
        await desk.until(lambda: desk.app.screen is desk.bench)
        await desk.until(lambda: {each.message for each in desk.engine.asked(commands.StopReply)} == ids)
