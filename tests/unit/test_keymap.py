"""The keymap file: what it changes, what it is told for, and which keys a terminal sends."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tui.desk import open_desk
from tui.actions import ACTIONS, BY_ID, Where, keyed
from tui.keymap import normal, read, template
from tui.screens.help import help_page


@pytest.fixture(autouse=True)
def plain() -> Iterator[None]:
    yield
    keyed.choose({})
    keyed.report_all(False)


def written(home: Path, text: str) -> Path:
    file = home / "keymap.toml"
    file.write_text(text)
    return file


def test_no_file_changes_nothing_and_so_does_the_template(home: Path) -> None:
    assert read(home / "none.toml").keys == {}
    keymap = read(written(home, template()))
    assert (keymap.keys, keymap.complaints) == ({}, ())


def test_the_template_with_all_its_marks_off_is_the_table(home: Path) -> None:
    lines = template().splitlines()
    text = "\n".join(line[2:] if " = [" in line else line for line in lines)
    assert {name: tuple(keys) for name, keys in tomllib.loads(text)["keys"].items()} == {
        action.id: action.keys for action in ACTIONS
    }


def test_a_key_or_a_list_replaces_the_tables(home: Path) -> None:
    keymap = read(written(home, '[keys]\nsearch = "Ctrl+F"\nnew_chat = ["alt+n", "F12"]\n'))
    assert keymap.keys == {"search": ("ctrl+f",), "new_chat": ("alt+n", "f12")}
    assert keymap.complaints == ()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('serach = "ctrl+f"', "there is no action `serach`"),
        ('search = "ctrl+fish"', "there is no key `ctrl+fish`"),
        ('search = "x"', "`x` is typed into the composer there"),
        ('search = "ctrl+q"', "already means “Quit” there"),
        ('search = "ctrl+t"', "already means “Thinking on or off” there"),
        ('search = "ctrl+shift+f"', "kitty keyboard protocol"),
        ('search = "ctrl+i"', "kitty keyboard protocol"),
        ("search = 3", "takes a key or a list"),
        ("search = []", "takes a key or a list"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(home: Path, line: str, words: str) -> None:
    keymap = read(written(home, f"# mine\n\n[keys]\n{line}\n"))
    assert len(keymap.complaints) == 1
    assert keymap.complaints[0].startswith("keymap.toml, line 4: ")
    assert words in keymap.complaints[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[keys\n", "not valid TOML"),
        ("search = 'f5'\n", "line 1: `search` is unknown here"),
        ("vim = 'yes'\n", "line 1: `vim` is true or false"),
        ("keys = 3\n", "line 1: `keys` must be a table"),
        ("vim = " + "[" * 5000, "not valid TOML"),
    ],
)
def test_a_broken_file_leaves_the_table_and_says_so(home: Path, text: str, words: str) -> None:
    keymap = read(written(home, text))
    assert keymap.keys == {}
    assert words in keymap.complaints[0]


def test_two_actions_can_swap_their_keys(home: Path) -> None:
    keymap = read(written(home, '[keys]\nsearch = "ctrl+n"\nnew_chat = "ctrl+r"\n'))
    assert keymap.keys == {"search": ("ctrl+n",), "new_chat": ("ctrl+r",)}


def test_vim_keys_are_added_in_lists_alone_and_only_where_they_are_free(home: Path) -> None:
    keymap = read(written(home, "vim = true\n"))
    assert "j" not in keyed.keys_of(BY_ID["recall_newer"])
    for name, keys in keymap.keys.items():
        place = BY_ID[name].where
        assert place not in (Where.COMPOSER, Where.CHAT, Where.APP, Where.DIALOG)
        others = [keymap.keys.get(each.id, each.keys) for each in ACTIONS if each.where is place]
        for key in keys:
            assert sum(key in taken for taken in others) == 1, (name, key)
    moves = [action for action in ACTIONS if "left" in action.keys and action.where is Where.TRANSCRIPT]
    assert all("h" in keymap.keys[action.id] for action in moves)


@pytest.mark.parametrize(
    ("word", "key"),
    [
        ("Ctrl+PgUp", "ctrl+pageup"),
        ("?", "question_mark"),
        ("shift+alt+up", "alt+shift+up"),
        ("G", "G"),
        ("esc", "escape"),
        ("+", "plus"),
        ("f5", "f5"),
        ("ctrl+", ""),
        ("", ""),
        ("hold+x", ""),
        ("banana", ""),
    ],
)
def test_keys_are_read_as_people_write_them(word: str, key: str) -> None:
    assert normal(word) == key


def test_a_plain_terminal_sends_some_keys_and_not_others() -> None:
    for key in ("ctrl+j", "alt+b", "shift+tab", "ctrl+up", "f5", "x", "ctrl+pageup", "alt+backspace"):
        assert keyed.plain_sends(key), key
    for key in ("shift+enter", "alt+enter", "ctrl+enter", "ctrl+m", "ctrl+1", "ctrl+shift+x", "super+k"):
        assert not keyed.plain_sends(key), key


def test_no_action_has_only_keys_that_a_plain_terminal_cannot_send() -> None:
    assert [a.id for a in ACTIONS if a.keys and not any(map(keyed.plain_sends, a.keys))] == []


def test_newline_keys_are_those_that_work_here() -> None:
    newline = BY_ID["newline"]
    assert keyed.keys_of(newline) == ("ctrl+j",)
    keyed.report_all(True)
    assert keyed.keys_of(newline)[0] == "shift+enter"
    assert "ctrl+j" in keyed.keys_of(newline)


# --- on the screen --------------------------------------------------------------------------


async def test_a_changed_key_works_and_is_the_one_shown(home: Path) -> None:
    folder = home / "config" / "qwill"
    folder.mkdir(parents=True)
    (folder / "keymap.toml").write_text('vim = true\n[keys]\nsend = "ctrl+s"\neditor = "alt+e"\nx = "y"\n')
    async with open_desk() as desk:
        await desk.until("line 5: there is no action `x`")
        desk.bench.hints.say("", for_seconds=0)
        await desk.until("Ctrl+S send")
        await desk.press("a", "enter", "b", "ctrl+s")
        await desk.until("You")
        assert desk.engine.messages["c1"][0].text == "a\nb"
        assert "Ctrl+S" in help_page(Where.COMPOSER, 90).plain
        assert "Alt+E" in help_page(Where.COMPOSER, 90).plain


async def test_slash_keymap_writes_the_file_once_and_says_where(home: Path) -> None:
    async with open_desk() as desk:
        desk.bench.composer.put("/keymap")
        await desk.press("enter")
        await desk.until("Wrote")
        file = home / "config" / "qwill" / "keymap.toml"
        assert file.read_text() == template()
        file.write_text("vim = true\n")
        desk.bench.composer.put("/keymap")
        await desk.press("enter")
        await desk.until("Your keys are in")
        assert file.read_text() == "vim = true\n"
