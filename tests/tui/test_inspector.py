"""The token inspector: how tokens fill lines, how one walks over them, and how a branch begins."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from engine.api import commands, specs
from engine.connect import Target, connect
from tests.support.fake_engine import FakeEngine
from tests.tui.desk import NARROW, TINY, Desk, open_desk
from tui.app import QwillApp
from tui.inspection import NOTHING, Walk, lay_out, uncertain, visible
from tui.screens.inspector import Inspector
from tui.state import Blank
from tui.widgets.token_choices import bar, share

QUESTION, ANSWER = "Where do cats sleep?", "Cats like to sleep in a box.\n\nOften."


def fact(text: str, probability: float = 0.95, entropy: float = 0.2, **more: Any) -> commands.TokenFact:
    number = sum(map(ord, text)) + 1
    others = more.pop("others", (("balcony", 0.02), ("bed", 0.01)))
    alternatives = sorted(
        [
            commands.Alternative(number, text, probability),
            *(commands.Alternative(9_000 + place, *other) for place, other in enumerate(others)),
        ],
        key=lambda each: -each.probability,
    )
    more.setdefault("part", "answer")
    return commands.TokenFact(number, text, more["part"], probability, entropy, tuple(alternatives))


THOUGHT = [fact(text, part="thinking") for text in ("<think>", "\n", "Cats", ".", "\n", "</think>")]
SAID = [
    *(fact(text) for text in ("\n\n", "Cats", " like", " to", " sleep", " in", " a")),
    fact(" box", 0.3, 2.6, others=((" balcony", 0.4), (" basket", 0.2), ("\t\x1b[31m", 0.01))),
    fact("."),
    fact("\n\n", 0.7, 1.3),
    fact("Often", 0.04, 3.4),
    fact("<|im_end|>"),
]
TOKENS = [*THOUGHT, *SAID]
BOX = TOKENS.index(SAID[7])
OFTEN = TOKENS.index(SAID[10])


class InspectedEngine(FakeEngine):
    """Answers with pages of TOKENS; branches as a regeneration does."""

    def __init__(self, **page: Any) -> None:
        super().__init__()
        self.page = page
        self.hold: asyncio.Event | None = None
        self.add_chat("c1", "Cats", (QUESTION, ANSWER))

    async def request(self, command: Any) -> Any:
        if isinstance(command, commands.InspectReply) and self.hold is not None and command.start:
            await self.hold.wait()
        return await super().request(command)

    def _on_inspectreply(self, command: commands.InspectReply) -> commands.Inspection:
        end = command.start + min(command.limit, 10)
        return commands.Inspection(tuple(TOKENS[command.start : end]), len(TOKENS), **self.page)

    def _on_branchreply(self, command: commands.BranchReply) -> specs.Message:
        return self._on_regenerate(commands.Regenerate(chat=command.chat, message=command.message))


async def inspector(desk: Desk) -> Inspector:
    """Open it on the newest reply and wait for all of its tokens."""
    await desk.until("Often.")
    await desk.press("tab", "i")
    await desk.until(lambda: isinstance(desk.app.screen, Inspector))
    screen = desk.app.screen
    assert isinstance(screen, Inspector)
    await desk.until(lambda: not screen.reading)
    await desk.pilot.pause()
    return screen


# --- on lines ------------------------------------------------------------------------------------


def test_tokens_fill_lines_by_words_and_end_them_where_the_text_does() -> None:
    rows = lay_out(TOKENS, 18)
    assert ["".join(piece.text for piece in row.pieces) for row in rows] == [
        "<think>↵",
        "Cats.↵",
        "</think>",
        "↵",
        "↵",
        "Cats like to sleep",
        " in a box.↵",
        "↵",
        "Often<|im_end|>",
    ]
    assert [row.part for row in rows] == ["thinking"] * 3 + ["answer"] * 6


@given(st.lists(st.text(max_size=12), max_size=20), st.integers(2, 30))
def test_any_tokens_fit_and_none_is_left_out(texts: list[str], width: int) -> None:
    rows = lay_out([fact(text) for text in texts], width)
    assert {piece.token for row in rows for piece in row.pieces} == set(range(len(texts)))
    for row in rows:
        line = "".join(piece.text for piece in row.pieces)
        assert all(piece.text for piece in row.pieces)
        assert cell_len(line) <= width + 1, "a sign that ends a line may stand beyond it"
        assert not set(line) & {"\n", "\t", "\r", "\x1b", "\x00"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (" box", "␣box"),
        ("\n\n", "↵↵"),
        ("\t", "⇥"),
        ("", NOTHING),
        ("\x1b[31m\x07", "[31m"),
        ("\u202e", NOTHING),
        ("\u0301", "◌\u0301"),
        ("\u200d", NOTHING),
        ("漢", "漢"),
    ],
)
def test_a_token_by_itself_is_readable_and_harmless(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_shares_and_bars_show_small_ones_too() -> None:
    values = (1.0, 0.996, 0.704, 0.021, 0.0003, 1e-9)
    assert [share(value) for value in values] == ["100 %", "99.6 %", "70 %", "2.1 %", "0.03 %", "< 0.01 %"]
    assert bar(0.5, 8) == "████"
    assert bar(1e-9, 8) == "▏"
    assert bar(0.0, 8) == ""
    assert cell_len(bar(0.33, 10)) <= 10


# --- walking -------------------------------------------------------------------------------------


def test_uncertain_is_what_was_unlikely_or_had_many_rivals() -> None:
    assert [place for place, each in enumerate(TOKENS) if uncertain(each)] == [BOX, OFTEN]
    assert uncertain(fact("x", 0.6, 2.4))
    assert not uncertain(fact("x", 0.6, 1.0))


def test_one_walks_by_tokens_by_doubts_and_to_the_greatest_doubt() -> None:
    walk = Walk(list(TOKENS), len(TOKENS))
    walk.go(0)
    assert not walk.next_uncertain(-1)
    assert walk.next_uncertain(1)
    assert walk.at == BOX
    assert walk.chosen is not None
    assert walk.chosen.text == " box", "what stands there is chosen first"
    walk.choose(-1)
    assert walk.chosen.text == " balcony"
    walk.choose(-5)
    assert walk.choice == 0
    walk.go(99)
    assert walk.at == len(TOKENS) - 1
    walk.least_certain()
    assert walk.at == OFTEN
    walk.least_certain()
    assert walk.at == BOX
    walk.go(-1)
    assert walk.at == 0
    walk.least_certain()
    assert walk.at == OFTEN


def test_what_stands_there_is_offered_however_unlikely_it_was() -> None:
    rare = msgspec.structs.replace(
        fact("rare", 0.0001), alternatives=(commands.Alternative(1, "often", 0.9),)
    )
    walk = Walk([rare], 1)
    walk.go(0)
    assert [option.text for option in walk.options()] == ["often", "rare"]
    assert walk.chosen == commands.Alternative(rare.id, "rare", 0.0001)


# --- on the screen -------------------------------------------------------------------------------


async def test_i_shows_what_was_likely_at_each_word() -> None:
    engine = InspectedEngine()
    async with open_desk(engine) as desk:
        screen = await inspector(desk)
        text = await desk.until("what the model thought likely at each word")
        assert "demo · 18 tokens, 2 uncertain" in text
        assert "[<think>]" in text
        assert "┊ Cats.↵" in text
        assert "token 1 of 18 · in the thought" in text
        starts = [command.start for command in engine.asked(commands.InspectReply)]
        assert starts == [0, 10]
        await desk.press("n")
        text = await desk.until("in a [box].")
        assert "token 14 of 18 · in the answer" in text
        assert "30 % likely · entropy 2.6 bits, like 6 even choices" in text
        lines = text.split("\n")
        order = ["␣balcony", "␣box", "␣basket", "⇥[31m"]
        rows = [next(n for n, line in enumerate(lines) if each in line and "%" in line) for each in order]
        assert rows == sorted(rows)
        assert "40 %" in lines[rows[0]]
        assert "▸ ␣box" in lines[rows[1]]
        assert "stands there" in lines[rows[1]]
        assert lines[rows[0]].count("█") > lines[rows[1]].count("█") > 2
        await desk.press("right", "right")
        await desk.until(".[↵")
        await desk.press("left", "N")
        await desk.until("[box]")
        await desk.press("m")
        await desk.until("[Often]")
        await desk.press("n")
        await desk.until("No token after this one is uncertain; m goes")
        await desk.press("home")
        assert screen.walk.at == 0
        await desk.press("end")
        await desk.until("[<|im_end|>]")
        await desk.press("escape")
        await desk.until(lambda: not isinstance(desk.app.screen, Inspector))
        assert engine.asked(commands.StopReply) == []


async def test_enter_on_an_alternative_branches_and_shows_it_grow() -> None:
    engine = InspectedEngine()
    async with open_desk(engine) as desk:
        await inspector(desk)
        old = engine.reply()
        await desk.press("n", "enter")
        await desk.until("stands there already")
        assert engine.asked(commands.BranchReply) == []
        await desk.press("up", "enter")
        await desk.until(lambda: not isinstance(desk.app.screen, Inspector))
        asked = engine.asked(commands.BranchReply)
        assert [(each.message, each.at, each.token) for each in asked] == [(old.id, BOX, 9_000)]
        text = await desk.until("A new version goes on from “␣balcony”")
        assert "‹2/2›" in text
        engine.answer("Cats like to sleep in a balcony")
        await desk.until("in a balcony")
        assert desk.app.focused is desk.bench.transcript


async def test_uncertain_tokens_are_underlined_and_stand_on_a_ground() -> None:
    async with open_desk(InspectedEngine()) as desk:
        await inspector(desk)
        styles = {
            word: segment.style
            for strip in desk.app.screen._compositor.render_strips()
            for segment in strip
            for word in ("box", "Often", "sleep")
            if word in segment.text and segment.style is not None
        }
        assert styles["box"].underline
        assert styles["Often"].underline
        assert not styles["sleep"].underline
        grounds = [styles[word].bgcolor for word in ("sleep", "box", "Often")]
        assert len(set(grounds)) == 3


@pytest.mark.parametrize("size", [NARROW, TINY])
async def test_it_works_where_it_is_narrow(size: tuple[int, int]) -> None:
    async with open_desk(InspectedEngine(), size) as desk:
        desk.bench.run_command("inspect")
        await desk.until(lambda: isinstance(desk.app.screen, Inspector))
        await desk.until(lambda: not desk.app.screen.reading)  # type: ignore[attr-defined]
        await desk.press("n")
        text = await desk.until("[box]")
        assert "▸ ␣box" in text
        assert all(cell_len(line) <= size[0] for line in text.split("\n"))
        await desk.press("down")
        await desk.until("▸ ␣basket")
        if size == NARROW:
            assert "what the model thought likely at each word" in text
            assert "entropy 2.6 bits" in text


async def test_one_walks_while_the_rest_is_still_computed_and_escape_stops_it() -> None:
    engine = InspectedEngine()
    engine.hold = asyncio.Event()
    async with open_desk(engine) as desk:
        await desk.until("Often.")
        await desk.press("tab", "i")
        await desk.until("10 of 18 tokens looked into …  Esc stops")
        await desk.press("right", "right")
        await desk.until("[Cats]")
        await desk.press("escape")
        await desk.until(lambda: not isinstance(desk.app.screen, Inspector))
        assert [each.message for each in engine.asked(commands.StopReply)] == [engine.reply().id]
        engine.hold.set()


async def test_tokens_that_were_not_stored_are_told_and_not_branched() -> None:
    engine = InspectedEngine(retokenised=True)
    async with open_desk(engine) as desk:
        await inspector(desk)
        await desk.until("its text was split anew")
        await desk.press("n", "up", "enter")
        await desk.pilot.pause()
        assert engine.asked(commands.BranchReply) == []
        assert isinstance(desk.app.screen, Inspector)


async def test_a_model_that_is_not_loaded_is_told_with_the_way_out() -> None:
    engine = InspectedEngine()
    engine.refuse(
        commands.InspectReply,
        "model_not_loaded",
        "demo is not loaded",
        "Why",
        "Load it (F2), then look again",
    )
    async with open_desk(engine) as desk:
        await desk.until("Often.")
        desk.bench.run_command("inspect")
        await desk.until("Load it (F2), then look again")
        assert not isinstance(desk.app.screen, Inspector)


async def test_without_a_finished_reply_it_says_so() -> None:
    async with open_desk() as desk:
        desk.bench.run_command("inspect")
        await desk.until("no reply to look into yet")
        await desk.say("hello")
        desk.bench.run_command("inspect")
        await desk.until("still being written")
        assert desk.engine.asked(commands.InspectReply) == []


@pytest.mark.engine
async def test_with_the_demo_model_a_branch_keeps_what_came_before(home: object) -> None:
    app = QwillApp(lambda: connect(Target(in_process=True), workbench=True))
    async with app.run_test(size=(120, 40)) as pilot:
        desk = Desk(app, FakeEngine(), pilot)
        state = app.workbench.state
        await desk.until(lambda: state.engine.link == "open")
        state.blank = Blank(specs.ChatSettings(sampling=specs.Sampling(temperature=0.0)))
        desk.bench.composer.put("What is the capital of France?")
        await desk.press("enter")

        def replies() -> list[Any]:
            return [t for t in state.engine.turns.values() if t.role == "assistant" and not t.live]

        await desk.until(replies, 60)
        first = replies()[0]
        await desk.press("tab", "i")
        await desk.until(lambda: isinstance(app.screen, Inspector))
        screen = app.screen
        assert isinstance(screen, Inspector)
        await desk.until(lambda: not screen.reading, 60)
        said = "".join(each.text for each in screen.walk.tokens if not each.text.startswith("<"))
        assert said == first.thinking + first.text
        await desk.press("m", "down")
        at, chosen = screen.walk.at, screen.walk.chosen
        assert chosen is not None
        kept = [each.text for each in screen.walk.tokens[:at] if not each.text.startswith("<")]
        await desk.press("enter")
        await desk.until(lambda: len(replies()) == 2, 60)
        second = next(each for each in replies() if each.id != first.id)
        assert (second.version, second.versions) == (2, 2)
        assert (second.thinking + second.text).startswith("".join(kept))
