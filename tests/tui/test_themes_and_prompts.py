"""Choosing a theme with the screen as its preview, and starting from a sample prompt."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.api import commands, config_dir
from tests.tui.desk import NARROW, WIDE, Desk, open_desk
from tui.paths import data_folder
from tui.remembered import keep, recall
from tui.themes import all_themes, first_theme, startup_theme

SIZES = pytest.mark.parametrize("size", [WIDE, NARROW], ids=["120x40", "80x24"])


def own(folder: str, name: str, text: str) -> Path:
    """A file of the user's own."""
    path = config_dir() / folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def own_theme(name: str, accent: str = "#ff00aa") -> Path:
    shipped = (data_folder("themes") / "qwill.toml").read_text()
    text = shipped.replace('name = "qwill"', f'name = "{name}"').replace("#64c8c0", accent)
    return own("themes", f"{name}.toml", text)


async def command(desk: Desk, text: str) -> None:
    desk.bench.composer.put(text)
    await desk.press("enter")


# --- themes ---------------------------------------------------------------------------------


async def test_every_shipped_theme_paints() -> None:
    async with open_desk() as desk:
        await desk.replied("hi", "hello **you**")
        for theme in all_themes()[0]:
            await command(desk, f"/theme {theme.name}")
            await desk.until(lambda name=theme.name: desk.app.theme == name)
            assert "hello you" in desk.text()


def test_the_theme_of_the_first_paint_is_the_shipped_one() -> None:
    (shipped,) = [theme for theme in all_themes()[0] if theme.name == "qwill"]
    first, read = first_theme(), shipped.to_textual()
    one = first.to_color_system().generate() | first.variables
    assert one == read.to_color_system().generate() | read.variables


def test_every_shipped_theme_lies_in_a_file_of_its_name() -> None:
    """The remembered theme is read from that one file before the first paint."""
    assert all(theme.path.stem == theme.name for theme in all_themes()[0])


@SIZES
async def test_moving_in_the_picker_paints_the_screen_and_escape_restores(
    size: tuple[int, int],
) -> None:
    async with open_desk(size=size) as desk:
        await command(desk, "/theme")
        await desk.until("night-sea")
        await desk.press("down")
        await desk.until(lambda: desk.app.theme == "contrast")
        await desk.press(*"light", "down")
        await desk.until(lambda: desk.app.theme == "paper")
        await desk.until(lambda: desk.bench.styles.background.hex.lower() == "#fbfaf7")
        await desk.press("escape")
        await desk.until(lambda: desk.app.theme == "qwill")
        assert recall("theme") == ""


async def test_a_chosen_theme_is_there_at_the_next_start_from_the_first_paint_on() -> None:
    async with open_desk() as desk:
        await command(desk, "/theme")
        await desk.until("night-sea")
        await desk.press(*"paper", "enter")
        await desk.until(lambda: recall("theme") == "paper")
    assert startup_theme().name == "paper"
    async with open_desk() as desk:
        assert desk.app.theme == "paper"
        assert not desk.app.has_class("-dark-mode")
        assert desk.app.get_css_variables()["background"].lower() == "#fbfaf7"


async def test_a_theme_of_the_terminals_colours_is_painted_in_them_from_the_start() -> None:
    keep("theme", "terminal")
    async with open_desk() as desk:
        assert desk.app.native_ansi_color
        assert desk.app.theme == "terminal"


async def test_an_own_theme_is_found_and_a_broken_one_is_named_and_skipped() -> None:
    own_theme("mine")
    own("themes", "broken.toml", 'name = "broken"\ndark = 3\n')
    async with open_desk() as desk:
        await desk.until("broken.toml, line 2: `dark` must be true or false.")
        await command(desk, "/theme mine")
        await desk.until(lambda: desk.app.theme == "mine")
    async with open_desk() as desk:
        assert desk.app.theme == "mine"


async def test_a_remembered_theme_that_broke_falls_back_and_says_so() -> None:
    own_theme("mine").write_text("name = 'mine'\n")
    keep("theme", "mine")
    async with open_desk() as desk:
        assert desk.app.theme == "qwill"
        await desk.until("A theme was skipped. mine.toml")


async def test_an_own_file_of_a_shipped_name_replaces_it() -> None:
    own_theme("qwill")
    async with open_desk() as desk:
        assert desk.app.get_css_variables()["accent"].lower() == "#ff00aa"


@pytest.mark.parametrize("text", ["", "[]", '{"theme": 3}', '{"theme": "../../x"}', "{" * 10_000])
def test_a_damaged_memory_is_no_reason_not_to_start(text: str) -> None:
    (config_dir() / "screen.json").write_text(text)
    assert startup_theme().name == "qwill"
    keep("theme", "dawn")
    assert startup_theme().name == "dawn"


async def test_a_theme_that_cannot_be_kept_holds_until_one_leaves() -> None:
    (config_dir() / "screen.json").mkdir()
    async with open_desk() as desk:
        await command(desk, "/theme dawn")
        await desk.until("could not be kept")
        assert desk.app.theme == "dawn"


# --- prompts --------------------------------------------------------------------------------


@SIZES
async def test_a_prompt_is_picked_filled_in_and_put_into_the_composer_unsent(size: tuple[int, int]) -> None:
    async with open_desk(size=size) as desk:
        await desk.press("f7")
        text = await desk.until("Brainstorm with criteria")
        assert "Many different ideas" in text
        await desk.press(*"translate faith")
        await desk.until("Translate faithfully and naturally")
        await desk.press("enter")
        await desk.until("Into which language?")
        assert "English" in desk.text()
        await desk.press("enter")
        await desk.until("Which tone?")
        await desk.press("enter", *"Merhaba", "ctrl+j", *"dünya", "enter")
        await desk.until(lambda: desk.app.screen is desk.bench)
        assert "Merhaba\ndünya" in desk.bench.composer.text
        assert "into English" in desk.bench.composer.text
        assert desk.app.focused is desk.bench.composer
        assert desk.engine.asked(commands.Send) == []


async def test_escape_goes_back_a_question_and_keeps_its_answer() -> None:
    async with open_desk() as desk:
        await command(desk, "/prompt translate")
        await desk.until("Into which language?")
        await desk.press(*" and Turkish", "enter")
        await desk.until("Which tone?")
        await desk.press("escape")
        await desk.until("English and Turkish")
        await desk.press("escape")
        await desk.until(lambda: desk.app.screen is desk.bench)
        assert desk.bench.composer.text == ""


async def test_a_blank_without_a_default_needs_an_answer() -> None:
    async with open_desk() as desk:
        await command(desk, "/prompt step-by-step")
        await desk.until("What is the question?")
        await desk.press("enter")
        await desk.until("This one needs an answer.")


async def test_own_prompts_are_listed_and_a_draft_stays() -> None:
    front = '+++\ntitle = "Mine"\nuse = "For me"\nlanguage = "en"\n+++\n'
    own("prompts", "mine.md", f"{front}Say [b]hello[/b].\n")
    own("prompts", "bad.md", "no front matter\n")
    async with open_desk() as desk:
        await desk.press(*"draft", "f7")
        await desk.until("Sample prompts")
        await desk.press(*"for me")
        await desk.until("Say [b]hello[/b].")
        await desk.press("enter")
        await desk.until(lambda: desk.bench.composer.text == "draft\n\nSay [b]hello[/b].")
        await command(desk, "/prompt none such")
        await desk.until("No prompt matches.")


async def test_names_are_completed_after_their_commands() -> None:
    async with open_desk() as desk:
        await desk.press(*"/theme night")
        await desk.until("/theme night-sea")
        desk.bench.composer.put("/prompt zh-")
        await desk.until("/prompt zh-run-se")
