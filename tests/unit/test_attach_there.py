"""Files of the engine's machine for a message: named `box:PATH`, read in parts, refused in one sentence."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from engine.api import EngineError, EngineLost, ErrorInfo, commands
from engine.parcels import folders
from engine.protocol.parcels import PART
from tui.attach import MOST, read_either, read_file
from tui.path_search_there import find_either


async def box(command: Any) -> Any:
    """What an engine answers whose files are this machine's."""
    match command:
        case commands.ReadNamed():
            return folders.read(command)
        case commands.ListFolder():
            return folders.names(command)
    raise AssertionError(command)


async def refusal(path: Path | str, ask: Any = box) -> str:
    with pytest.raises(EngineError) as caught:
        await read_file(ask, f"box:{path}", "box")
    assert caught.value.info.code == "not_attached"
    return caught.value.info.sentence()


async def test_a_file_there_is_read_in_parts_and_says_where_it_lies(tmp_path: Path) -> None:
    text = "line of text\n" * (PART // 10)
    (tmp_path / "notes.txt").write_text(text)
    file = await read_file(box, f"box:{tmp_path}/notes.txt", "me@box")
    assert (file.name, file.text) == ("box:notes.txt", text)
    here = await read_file(box, f"here:{tmp_path}/notes.txt", "me@box")
    assert (here.name, here.text) == ("notes.txt", text)


async def test_without_a_host_a_colon_is_a_part_of_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "box:notes.txt").write_text("mine")
    assert (await read_file(box, "box:notes.txt", "")).text == "mine"


async def test_what_cannot_be_attached_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * (MOST + 1))
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "kernel").symlink_to("/proc/self/environ")
    assert await refusal(tmp_path / "large") == (
        "box:large has 1.0 MB; 1 MB is the most that can be attached."
    )
    assert await refusal(tmp_path) == (f"box:{tmp_path.name} is a folder; attach the files in it one by one.")
    assert await refusal(tmp_path / "pipe") == "box:pipe is a pipe, not a file."
    assert await refusal(tmp_path / "kernel") == "box:kernel belongs to the kernel."
    assert await refusal("/proc/self/environ") == "box:environ belongs to the kernel."
    assert await refusal("notes.txt") == "box:notes.txt is no whole path; begin it with / or ~/."
    assert await refusal(tmp_path / "absent") == "box:absent cannot be read: no such file or directory."
    assert await refusal(f"{tmp_path}/\0") == "box:\0 is no path."


@pytest.mark.parametrize("lie", [commands.NamedPart(b"", 5), commands.NamedPart(b"123456", 5)])
async def test_a_file_that_changes_meanwhile_is_told_of(lie: commands.NamedPart) -> None:
    async def answer(command: Any) -> commands.NamedPart:
        return lie

    assert await refusal("/x", answer) == "box:x changed while it was read."


async def test_an_engine_that_promises_more_and_more_is_not_listened_to(tmp_path: Path) -> None:
    async def answer(command: commands.ReadNamed) -> commands.NamedPart:
        return commands.NamedPart(b"x" * PART, command.offset + 2 * PART)

    with pytest.raises(EngineError):
        await read_either(answer, "box:/x", "box", MOST)


async def test_paths_there_are_completed_behind_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notes.txt").write_text("x" * 2048)
    (tmp_path / "Notable").mkdir()
    monkeypatch.chdir(tmp_path)
    there = await find_either(box, f"box:{tmp_path}/not", "me@box")
    assert [(each.text, each.folder) for each in there] == [
        (f"box:{tmp_path}/Notable/", True),
        (f"box:{tmp_path}/notes.txt", False),
    ]
    assert there[1].about == "2.0 K"
    assert [each.text for each in await find_either(box, "b", "me@box")][0] == "box:"
    assert [each.text for each in await find_either(box, "box:", "me@box")] == ["box:~/", "box:/"]
    assert [each.text for each in await find_either(box, "notes", "me@box")] == ["notes.txt"]
    assert [each.text for each in await find_either(box, "here:notes", "me@box")] == ["here:notes.txt"]


async def test_a_machine_that_does_not_answer_completes_nothing() -> None:
    async def dead(command: Any) -> Any:
        raise EngineLost(ErrorInfo("engine_lost", "The line was cut"))

    assert await find_either(dead, "box:/da", "box") == []
