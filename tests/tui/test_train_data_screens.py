"""Behind the train form: the data looked at closely, the mask preview, questions and answers by hand."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from textual.widgets import TextArea

from engine.api import commands, fault, runs
from tests.support.fake_engine import FakeEngine
from tests.support.fake_runs import REPORT, RunDesk
from tests.tui.desk import NARROW, TINY, open_desk
from tui.screens import pairs
from tui.screens.data import DataScreen
from tui.screens.mask import Mask
from tui.screens.pairs import Pairs
from tui.screens.train import Train

SPREAD = runs.Spread((4, 40, 61, 90, 150, 412), (0, 100, 200, 300, 420), (180, 52, 7, 1), 22_000)
PROBLEMS = (
    runs.Problem(7, "messages[1].role", "'bot' is none of system, user, assistant"),
    runs.Problem(40, "messages", "the same as line 3", fatal=False),
)
FULL = replace(
    REPORT,
    **{"form": "messages", "kind": "chats", "file": "jsonl", "objectives": ("chat",), "tokens": SPREAD},
    **{"keys": ("q", "a"), "labelled": 9_000, "problems": PROBLEMS, "problem_count": 2},
    **{"bad": 1, "repeated": 1, "too_long": 4, "secrets": 1, "leaks": 2},
)


@pytest.fixture
def trainer() -> RunDesk:
    trainer = RunDesk(FakeEngine())
    trainer.engine.answers[commands.CheckData] = lambda _: FULL
    trainer.engine.answers[commands.PreviewRow] = preview
    return trainer


def preview(command: commands.PreviewRow) -> commands.MaskPreview:
    """Three rows; the second one is a preference, the third one has two answers and is long."""
    words = [commands.MaskToken(f" word{number}", number > 5) for number in range(900)]
    text = words if command.row == 3 else words[:12]
    side = (command.side or "chosen") if command.row == 2 else ""
    return commands.MaskPreview(
        *(command.row, 3, command.row, tuple(text), len(text), len(text) - 6, command.row != 1),
        answer=command.answer,
        answers=2 if command.row == 3 else 1,
        side=side,  # type: ignore[arg-type]
        cut=40 if command.row == 3 else 0,
    )


# --- the data ---------------------------------------------------------------------------------


async def test_the_data_screen_tells_what_is_wrong_and_how_long_rows_are(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine, NARROW) as desk:
        await desk.press("f4")
        await desk.until("240 chats")
        await desk.press("ctrl+o")
        text = await desk.until("240 usable chats · messages in jsonl · 22k tokens, 41 % learned")
        for words in (
            "1 row cannot be used and is left out.",
            "4 answers are longer than the run's length and left out.",
            "2 rows are in the evaluation data too",
            "1 row has what looks like a key or a password.",
        ):
            assert words in text
        await desk.press("pagedown", "pagedown")
        text = await desk.until("messages[1].role")
        assert "half up to 61" in text
        assert "(used all the same)" in text
        await desk.press("escape")
        assert isinstance(desk.app.screen, Train)


async def test_columns_chosen_by_hand_go_back_into_the_form(trainer: RunDesk) -> None:
    nothing = replace(REPORT, rows=0, keys=("frage", "antwort"), objectives=())

    def check(command: commands.CheckData) -> runs.DatasetReport:
        return FULL if command.columns else nothing

    trainer.engine.answers[commands.CheckData] = check
    async with open_desk(trainer.engine) as desk:
        await desk.press("f4", "ctrl+o")
        await desk.until("No row was understood")
        assert isinstance(desk.app.screen, DataScreen)
        await desk.press("right", "c", "left", "enter")
        await desk.until("240 usable chats")
        await desk.press("escape")
        columns = {"prompt": "frage", "answer": "antwort"}
        await desk.until(lambda: trainer.engine.asked(commands.EstimateRun)[-1].spec.columns == columns)


# --- the mask preview -------------------------------------------------------------------------


async def test_the_mask_preview_walks_over_rows_answers_and_sides(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        await desk.press("f4")
        await desk.until("240 chats")
        await desk.press("ctrl+r")
        text = await desk.until("row 1 of 3 · 12 tokens · 6 labelled (50 %) · stop token trained: no")
        assert "word5▌ word6" in text
        assert "word11▐" in text
        await desk.press("k")
        await desk.until("That is the first row.")
        await desk.press("right")
        await desk.until("row 2 of 3 · the chosen answer")
        await desk.press("a")
        await desk.until("row 2 of 3 · the rejected answer")
        await desk.press("g", "3", "enter")
        await desk.until("row 3 of 3 · answer 1 of 2")
        assert "40 too many: left out" in desk.text()
        await desk.press("a")
        await desk.until("answer 2 of 2")
        await desk.press(*["pagedown"] * 15)
        await desk.until("word899▐")
        await desk.press("home")
        await desk.until("row 1 of 3")
        await desk.press("escape")
        assert isinstance(desk.app.screen, Train)


async def test_a_row_that_cannot_be_rendered_says_why_in_a_tiny_terminal(trainer: RunDesk) -> None:
    trainer.engine.refuse(commands.PreviewRow, "no_chat_template", "demo has no chat template")
    async with open_desk(trainer.engine, TINY) as desk:
        await desk.press("f4")
        await desk.until("fits")
        await desk.press("ctrl+r")
        await desk.until("demo has no chat template")
        assert isinstance(desk.app.screen, Mask)


# --- questions and answers --------------------------------------------------------------------


class Shelf:
    """One's own datasets, as the engine keeps them."""

    def __init__(self, engine: FakeEngine) -> None:
        self.kept: dict[str, tuple[commands.QAPair, ...]] = {}
        engine.answers |= {commands.SaveRows: self._save, commands.ReadRows: self._read}

    def _save(self, command: commands.SaveRows) -> commands.SavedRows:
        self.kept[command.name] = command.pairs
        return commands.SavedRows(f"/d/{command.name}.jsonl", len(command.pairs), "ab")

    def _read(self, command: commands.ReadRows) -> commands.OwnRows:
        if command.name not in self.kept:
            raise fault("data_unreadable", "There is no such dataset")
        page = self.kept[command.name][command.offset : command.offset + 2]
        more = command.offset + 2 < len(self.kept[command.name])
        return commands.OwnRows(f"/d/{command.name}.jsonl", page, more=more)


async def test_pairs_are_saved_as_they_are_typed_and_trained_on(trainer: RunDesk) -> None:
    shelf = Shelf(trainer.engine)
    async with open_desk(trainer.engine, NARROW) as desk:
        await desk.press("f4")
        await desk.until("240 chats")
        await desk.press("ctrl+n")
        await desk.until("no question yet")
        await desk.press(*"why", "tab", *"so")
        await desk.until(lambda: shelf.kept == {"my-pairs": (commands.QAPair("why", "so"),)})
        await desk.press("ctrl+n", *"who")
        await desk.until("1 pair · 1 not finished")
        await desk.press("tab", *"me", "ctrl+s")
        await desk.until(lambda: isinstance(desk.app.screen, Train))
        assert shelf.kept["my-pairs"][1] == commands.QAPair("who", "me")
        form = desk.app.screen
        assert isinstance(form, Train)
        assert form.data_field.value == "/d/my-pairs.jsonl"
        await desk.until(lambda: trainer.engine.asked(commands.CheckData)[-1].data == "/d/my-pairs.jsonl")


async def test_enter_goes_from_question_to_answer_to_the_next_pair_and_half_a_pair_waits(
    trainer: RunDesk,
) -> None:
    shelf = Shelf(trainer.engine)
    async with open_desk(trainer.engine, NARROW) as desk:
        await desk.press("f4")
        await desk.until("240 chats")
        await desk.press("ctrl+n")
        await desk.until("no question yet")
        await desk.press(
            *"why", "enter", *"so", "ctrl+j", *"it", "enter", *"who", "enter", *"me", "enter", *"how"
        )
        await desk.until("2 pairs · 1 not finished")
        await desk.press("escape", "escape")
        await desk.until(lambda: isinstance(desk.app.screen, Train))
        assert shelf.kept["my-pairs"] == (commands.QAPair("why", "so\nit"), commands.QAPair("who", "me"))
        await desk.press("ctrl+n")
        await desk.until("2 pairs · 1 not finished")
        screen = desk.app.screen
        assert isinstance(screen, Pairs)
        assert screen.question.text == "how"


async def test_what_is_typed_before_the_dataset_is_read_comes_after_it_and_replaces_nothing(
    trainer: RunDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Shelf(trainer.engine)
    there = tuple(commands.QAPair(f"q{number}", f"a{number}") for number in range(3))
    shelf.kept["my-pairs"] = there
    at_hand = trainer.engine.hold(commands.ReadRows)
    monkeypatch.setattr(pairs, "QUIET", 0.05)
    async with open_desk(trainer.engine, NARROW) as desk:
        await desk.press("f4")
        await desk.until("240 chats")
        await desk.press("ctrl+n", *"why", "enter", *"so", "escape", "escape")  # left before it is read
        await desk.until(lambda: isinstance(desk.app.screen, Train))
        await desk.press("ctrl+n", *"who", "enter", *"me", "enter", *"ho")
        await desk.pilot.pause(0.2)
        assert shelf.kept["my-pairs"] == there
        at_hand.set()
        await desk.until("5 pairs · 1 not finished")
        await desk.press("w")
        assert desk.app.screen.query_one("#question", TextArea).text == "how"
        why, who = commands.QAPair("why", "so"), commands.QAPair("who", "me")
        await desk.until(lambda: shelf.kept["my-pairs"] == (*there, why, who))


async def test_a_deleted_pair_comes_back_and_escape_goes_to_the_list_first(trainer: RunDesk) -> None:
    shelf = Shelf(trainer.engine)
    shelf.kept["my-pairs"] = tuple(commands.QAPair(f"q{number}", f"a{number}") for number in range(5))
    async with open_desk(trainer.engine) as desk:
        await desk.press("f4")
        await desk.until("240 chats")
        await desk.press("ctrl+n")
        await desk.until("5 pairs")
        screen = desk.app.screen
        assert isinstance(screen, Pairs)
        await desk.press("escape", "up", "up", "d")
        assert desk.app.focused is screen.table
        await desk.until("4 pairs")
        await desk.until(lambda: len(shelf.kept["my-pairs"]) == 4)
        await desk.press("z")
        await desk.until("5 pairs")
        assert screen.question.text == "q3"
        await desk.press("escape")
        await desk.until(lambda: isinstance(desk.app.screen, Train))
        assert len(shelf.kept["my-pairs"]) == 5


async def test_in_a_tiny_terminal_the_screens_stand(trainer: RunDesk) -> None:
    Shelf(trainer.engine)
    async with open_desk(trainer.engine, TINY) as desk:
        await desk.press("f4")
        await desk.until("fits")
        for key, words in (("ctrl+o", "usable"), ("ctrl+r", "row 1 of 3"), ("ctrl+n", "no answer yet")):
            await desk.press(key)
            text = await desk.until(words)
            assert max(map(len, text.split("\n"))) <= 40
            await desk.press("escape", "escape") if key == "ctrl+n" else await desk.press("escape")
            await desk.until(lambda: isinstance(desk.app.screen, Train))
