"""Keys that outrun the engine's answers over a slow line: none is lost, and each does what it would later."""

from __future__ import annotations

import asyncio
from typing import Any

from textual import events as keyboard

from engine.api import commands
from tests.support.fake_engine import FakeEngine
from tests.support.fake_runs import RunDesk
from tests.tui.desk import Desk, open_desk
from tui.screens.train import Train


class Far(FakeEngine):
    """An engine behind a slow line."""

    round_trip = 0.15
    """Seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[Any] = []
        """Requests on their way, or answered."""

    async def request(self, command: Any) -> Any:
        self.begun.append(command)
        await asyncio.sleep(self.round_trip)
        return await super().request(command)


def typed(desk: Desk, *keys: str) -> None:
    """Keys that come in one packet; words stand for their letters."""
    for key in keys:
        for each in key if " " in key else (key,):
            desk.app.post_message(keyboard.Key(each, each if len(each) == 1 else None))


async def sent(desk: Desk, count: int) -> list[tuple[str, str]]:
    """Chat and text of the messages that the engine has, once it has so many and nothing waits."""
    await desk.until(lambda: len(desk.engine.asked(commands.Send)) >= count)
    await desk.until(lambda: not desk.bench.state.pending)
    return [(each.chat, each.text) for each in desk.engine.asked(commands.Send)]


async def test_two_messages_in_one_burst_go_once_each_into_one_chat() -> None:
    async with open_desk(Far()) as desk:
        typed(desk, "One, please.", "enter", "Two, please.", "enter")
        (first, one), (second, two) = await sent(desk, 2)
        assert (one, two, first) == ("One, please.", "Two, please.", second)
        assert len(desk.engine.asked(commands.NewChat)) == 1


async def test_a_new_chat_begun_before_the_engine_answered_is_another_one() -> None:
    async with open_desk(Far()) as desk:
        typed(desk, "One, please.", "enter", "ctrl+n", "Two, please.", "enter")
        (first, one), (second, two) = await sent(desk, 2)
        assert (one, two) == ("One, please.", "Two, please.")
        assert first != second
        assert desk.bench.state.chat == second


async def test_an_incognito_chat_stays_one_while_the_next_is_begun() -> None:
    async with open_desk(Far()) as desk:
        desk.bench.run_command("incognito")
        typed(desk, "A secret.", "enter", "ctrl+n", "No secret.", "enter")
        await sent(desk, 2)
        assert [each.saved for each in desk.engine.asked(commands.NewChat)] == [False, True]


async def test_the_next_chat_stays_incognito_when_the_one_before_it_is_opened() -> None:
    async with open_desk(Far()) as desk:
        typed(desk, "No secret.", "enter")
        await desk.until(lambda: desk.bench.state.pending)
        desk.bench.run_command("incognito")
        await sent(desk, 1)
        assert desk.bench.state.incognito()
        assert desk.bench.state.chat == ""


async def test_what_is_changed_while_a_chat_is_opened_holds_in_it() -> None:
    engine = Far()
    async with open_desk(engine) as desk:
        typed(desk, "One, please.", "enter")
        await desk.until(lambda: any(isinstance(each, commands.NewChat) for each in engine.begun))
        desk.bench.run_command("no_think")
        ((chat, _),) = await sent(desk, 1)
        await desk.until(lambda: desk.engine.asked(commands.ChangeChat))
        assert desk.engine.asked(commands.NewChat)[0].settings.think
        assert not desk.engine.chats[chat].settings.think
        await desk.until(lambda: not desk.bench.state.settings().think)


async def test_a_slash_command_is_done_before_the_words_behind_it() -> None:
    async with open_desk(Far()) as desk:
        typed(desk, "One, please.", "enter")
        ((first, _),) = await sent(desk, 1)
        typed(desk, *"/new", "enter", "Two, please.", "enter")
        _, (second, two) = await sent(desk, 2)
        assert (two, second != first) == ("Two, please.", True)


async def test_settings_changed_within_a_round_trip_are_all_changed() -> None:
    async with open_desk(Far()) as desk:
        typed(desk, "One, please.", "enter")
        ((chat, _),) = await sent(desk, 1)
        for command, argument in (("no_think", ""), ("budget", "64"), ("system", "Be brief.")):
            desk.bench.run_command(command, argument)
        assert not desk.bench.state.settings().think
        await desk.until(lambda: not desk.bench.state.wanted)
        settings = desk.bench.state.settings()
        assert settings == desk.engine.chats[chat].settings
        assert (settings.think, settings.think_budget, settings.system) == (False, 64, "Be brief.")


async def test_a_refused_change_shows_what_holds() -> None:
    async with open_desk(Far()) as desk:
        typed(desk, "One, please.", "enter")
        await sent(desk, 1)
        desk.engine.refuse(commands.ChangeChat, "no_such_chat", "There is no such chat")
        desk.bench.run_command("no_think")
        assert not desk.bench.state.settings().think
        await desk.until("There is no such chat")
        assert desk.bench.state.settings().think


async def test_a_form_filled_in_before_its_answers_came_is_kept() -> None:
    engine = Far()
    RunDesk(engine)
    async with open_desk(engine) as desk:
        engine.round_trip = 60.0
        await desk.press("f4")
        await desk.until(lambda: isinstance(desk.app.screen, Train))
        form = desk.app.screen
        assert isinstance(form, Train)
        form.text_fields["name"].focus()
        await desk.press("x")
        assert not form.ready.is_set()
        named = form.text_fields["name"].value
        form.dismiss()
        await desk.press("f4")
        await desk.until(lambda: isinstance(desk.app.screen, Train) and desk.app.screen is not form)
        again = desk.app.screen
        assert isinstance(again, Train)
        assert again.text_fields["name"].value == named
        assert "x" in named
