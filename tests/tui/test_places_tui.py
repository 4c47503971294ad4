"""Several places in one workbench: each with its own chat and draft, and paths that say their side."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.api import ErrorInfo, commands, events
from engine.parcels import depot, folders
from tests.support.fake_engine import FakeEngine
from tests.support.fake_runs import REPORT, RunDesk, run_info
from tests.tui.desk import Desk, open_desk
from tui import hosts
from tui.app import QwillApp
from tui.screens.runs import Runs
from tui.screens.train import Train


def other_place(desk: Desk, far: FakeEngine) -> None:
    """`/places box` reaches this engine."""
    hosts.add("box", "me@box.lan")
    assert isinstance(desk.app, QwillApp)
    desk.app.places().reach = lambda address: far.dial


async def test_a_place_is_switched_to_and_back_and_each_keeps_its_chat_and_its_draft() -> None:
    far = FakeEngine()
    async with open_desk() as desk:
        desk.bench.wake_places()
        await desk.say("Hello from here.")
        assert "PLACES" not in desk.text()
        other_place(desk, far)
        desk.engine.finish("Hi.")
        desk.bench.composer.put("half a sentence")
        here = desk.bench
        await desk.until(lambda: here.state.engine.link == "open")
        here.wake_places()
        await desk.until("PLACES")
        desk.bench.run_command("places", "box")
        await desk.until("box (ssh)")
        assert desk.bench is not here
        text = await desk.until("● box")
        assert "○ here" in text
        assert "Hello from here." not in desk.text()
        assert desk.bench.composer.text == ""
        await desk.until(lambda: desk.bench.state.engine.link == "open")
        assert far.dials == 1
        desk.bench.composer.put("for the box")
        desk.engine.emit(events.Notice("info", ErrorInfo("told", "Something happened meanwhile")))
        desk.bench.run_command("places", "here")
        await desk.until(lambda: desk.bench is here)
        text = await desk.until("Hello from here.")
        assert "half a sentence" in text
        desk.bench.run_command("places", "box")
        await desk.until("for the box")
        assert far.dials == 1
        assert desk.engine.dials == 1


async def test_the_list_of_places_says_how_each_stands_and_enter_goes_there() -> None:
    far = FakeEngine()
    async with open_desk() as desk:
        other_place(desk, far)
        await desk.until(lambda: desk.bench.state.engine.link == "open")
        desk.bench.run_command("places")
        text = await desk.until("not opened yet")
        assert "● here" in text
        assert "○ box me@box.lan" in text
        await desk.press("b", "o", "x", "enter")
        await desk.until("box (ssh)")


async def test_without_another_place_it_says_how_to_name_one() -> None:
    async with open_desk() as desk:
        desk.bench.run_command("places")
        await desk.until("qwill hosts add NAME user@box")
        desk.bench.run_command("places", "nowhere")
        await desk.until("There is no place called nowhere")


async def test_f3_shows_the_runs_of_the_other_places_and_goes_to_one() -> None:
    far = FakeEngine()
    run = run_info(7, state="running", step=214, loss=1.82)
    RunDesk(far, run)
    async with open_desk() as desk:
        RunDesk(desk.engine)
        other_place(desk, far)
        desk.bench.run_command("places", "box")
        await desk.until(lambda: desk.bench.state.engine.runs)
        desk.bench.run_command("places", "here")
        await desk.until(lambda: not desk.bench.state.engine.host)
        await desk.press("f3")
        text = await desk.until("ELSEWHERE")
        assert "box" in text
        assert "214/171  loss 1.820" in text
        await desk.press("W")
        await desk.until("Runs everywhere")
        await desk.press("enter")
        await desk.until(lambda: isinstance(desk.app.screen, Runs) and desk.bench.state.engine.host == "box")


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "a", "completion": "b"}\n' * 3)
    return path


async def test_a_file_of_this_side_is_sent_before_it_is_checked_and_the_field_names_its_side(
    rows: Path,
) -> None:
    far = FakeEngine()
    RunDesk(far)
    far.answers |= {
        commands.HasFile: depot.look,
        commands.PutPart: depot.put,
        commands.ListFolder: lambda _: commands.FolderPage((commands.FolderEntry("legal.jsonl"),)),
        commands.CheckData: lambda it: replace(REPORT, path=it.data),
    }
    async with open_desk() as desk:
        other_place(desk, far)
        desk.bench.run_command("places", "box")
        await desk.until("box (ssh)")
        await desk.until(lambda: desk.bench.state.engine.link == "open")
        desk.bench.run_command("train")
        await desk.until(lambda: isinstance(desk.app.screen, Train))
        form = desk.app.screen
        assert isinstance(form, Train)
        await asyncio.wait_for(form.ready.wait(), 20)
        form.put_data("rows.jsonl")
        await desk.until("Enter sends it to box")
        assert not far.asked(commands.HasFile)
        await desk.press("enter")
        await desk.until(lambda: form.sent)
        [path] = form.sent.values()
        assert Path(path).read_bytes() == rows.read_bytes()
        await desk.until(lambda: any(each.data == path for each in far.asked(commands.CheckData)))
        form.put_data("nowhere.jsonl")
        await desk.until("is not on this machine")
        assert form.data_field.suggester is not None
        found = await form.data_field.suggester.get_suggestion("box:/data/le")
        assert found == "box:/data/legal.jsonl"
        assert await form.data_field.suggester.get_suggestion("here:ro") == "here:rows.jsonl"
        form.put_data("box:/data/legal.jsonl")
        await desk.until(
            lambda: any(each.data == "/data/legal.jsonl" for each in far.asked(commands.CheckData))
        )


async def test_a_file_of_the_box_is_completed_and_goes_with_the_message(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("Buy milk.")
    far = FakeEngine()
    far.answers |= {commands.ListFolder: folders.names, commands.ReadNamed: folders.read}
    async with open_desk() as desk:
        other_place(desk, far)
        desk.bench.run_command("places", "box")
        await desk.until("box (ssh)")
        await desk.until(lambda: desk.bench.state.engine.link == "open")
        await desk.press(*"Sum up @bo")
        await desk.until("files there")
        await desk.press("tab")
        await desk.until("your folder there")
        desk.bench.composer.put(f"Sum up @box:{tmp_path}/no")
        await desk.until("notes.txt")
        await desk.press("enter")
        await desk.until("@box:notes.txt")
        await desk.press("enter")
        await desk.until(lambda: far.asked(commands.Send))
        assert [(each.name, each.text) for each in far.asked(commands.Send)[0].files] == [
            ("box:notes.txt", "Buy milk.")
        ]
