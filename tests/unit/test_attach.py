"""Files for a message: what is taken, what is refused and how, and how they stand in a prompt."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.api import EngineError, specs
from engine.chat.files import with_files
from tui.attach import MOST, Kept, as_text, dropped, keep, read_bytes, recall
from tui.pasted import Pastes, big, tidy
from tui.path_search import find
from tui.words import BOUNDARY, RUN


def read_file(typed: str) -> specs.Attachment:
    return as_text(*read_bytes(typed, MOST))


def refusal(path: Path | str) -> str:
    with pytest.raises(EngineError) as caught:
        read_file(str(path))
    assert caught.value.info.code == "not_attached"
    return caught.value.info.sentence()


def test_text_is_read_whatever_its_line_ends_and_mark(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("\ufeffeins\r\nzwei\rdrei".encode())
    (tmp_path / "b.txt").write_bytes("ünï".encode("utf-16"))
    assert read_file(str(tmp_path / "a.txt")).text == "eins\nzwei\ndrei"
    assert read_file(str(tmp_path / "b.txt")).text == "ünï"


def test_names_are_relative_to_the_folder_and_bare_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = tmp_path / "here" / "deep"
    inside.mkdir(parents=True)
    (inside / "a.py").write_text("1")
    (tmp_path / "b.py").write_text("2")
    monkeypatch.chdir(tmp_path / "here")
    assert read_file("deep/a.py").name == "deep/a.py"
    assert read_file(str(tmp_path / "b.py")).name == "b.py"


def test_what_is_no_text_file_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "nul").write_bytes(b"a\0b")
    (tmp_path / "latin").write_bytes(b"caf\xe9 au lait")
    (tmp_path / "large").write_bytes(b"x" * 1_000_001)
    (tmp_path / "empty").write_text(" \n")
    os.mkfifo(tmp_path / "pipe")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "sock"))
    listener.close()
    assert refusal(tmp_path / "nul") == "nul is not text (UTF-8)."
    assert refusal(tmp_path / "latin") == "latin is not text (UTF-8)."
    assert "1.0 MB" in refusal(tmp_path / "large")
    assert refusal(tmp_path / "empty") == "empty is empty."
    assert refusal(tmp_path / "pipe") == "pipe is a pipe, not a file."
    assert refusal(tmp_path / "sock") == "sock is a socket, not a file."
    assert refusal("/dev/zero") == "zero is a device, not a file."
    assert "is a folder" in refusal(tmp_path)
    assert "no such file" in refusal(tmp_path / "gone")
    assert "is no path" in refusal("a\0b")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "locked").write_text("x")
    (tmp_path / "locked").chmod(0)
    assert "permission denied" in refusal(tmp_path / "locked")


def test_a_dropped_path_is_told_from_a_text(tmp_path: Path) -> None:
    file = tmp_path / "my file.txt"
    file.write_text("x")
    for text in (str(file), f"'{file}' ", f'"{file}"', str(file).replace(" ", "\\ "), file.as_uri()):
        assert dropped(text) == file, text
    for text in ("", "hello", "my file.txt", str(tmp_path), f"{file}\n{file}", "/no/such/file", "'", "~"):
        assert dropped(text) is None, text


def test_what_waits_in_a_composer_is_kept_privately_and_forgotten_when_empty(home: Path) -> None:
    kept = Kept((specs.Attachment("a.txt", "été"),), "draft", here=True)
    keep("", kept)
    keep("c1", Kept((specs.Attachment("b.txt", "b"),)))
    assert recall("") == kept
    assert recall("c1").files[0].name == "b.txt"
    files = list(home.rglob("composer/*.json"))
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    keep("c1", Kept())
    assert recall("c1") == Kept()
    assert recall("../../etc") == kept  # no name of a file: the new chat's
    next(file for file in files if file.name == "new.json").write_text("{")
    assert recall("") == Kept()


# --- in the prompt --------------------------------------------------------------------------


def test_without_files_a_message_is_as_it_was_typed() -> None:
    assert with_files(" hi\n", ()) == " hi\n"


def test_files_stand_before_the_message_by_name() -> None:
    files = (specs.Attachment("a.txt", "one\n"), specs.Attachment("b\nc.md", "```\nx\n```"))
    assert with_files("Compare.", files) == (
        "File a.txt:\n```\none\n```\n\nFile b c.md:\n````\n```\nx\n```\n````\n\nCompare."
    )


@given(st.text(alphabet="`~ab\n", max_size=60))
def test_no_text_ends_its_own_fence(text: str) -> None:
    prompt = with_files("question", (specs.Attachment("f", text),))
    fence = re.search(r"^`{3,}$", prompt, re.M)
    assert fence is not None
    inside = prompt[fence.end() + 1 : prompt.rindex(f"\n{fence[0]}\n")]
    assert inside == text.removesuffix("\n")
    assert fence[0] not in inside


# --- paths, pastes, words -------------------------------------------------------------------


def test_paths_are_found_by_their_beginning_whatever_its_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for made in ("Read.me", "ready.py", "other", ".ready"):
        (tmp_path / made).write_text("x")
    (tmp_path / "reading").mkdir()
    (tmp_path / "bad\x1b[31m").write_text("x")
    monkeypatch.chdir(tmp_path)
    assert [each.text for each in find("rea")] == ["Read.me", "reading/", "ready.py"]
    assert [each.text for each in find(f"{tmp_path}/.")] == [f"{tmp_path}/.ready"]
    assert [each.text for each in find("")] == ["other", "Read.me", "reading/", "ready.py"]
    assert find("no/such/folder/x") == []


def test_links_are_shown_and_never_walked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "a" / "wanted.txt").write_text("x")
    monkeypatch.chdir(tmp_path)
    assert [each.text for each in find("wanted")] == ["a/wanted.txt"]


def test_home_is_a_tilde(home: Path) -> None:
    (home / "letter.txt").write_text("x")
    assert [each.text for each in find("~/let")] == ["~/letter.txt"]


def test_pastes_become_chips_and_come_back_whole() -> None:
    pastes = Pastes()
    first, second = "a\n" * 20, "b\n" * 20
    chip, other = pastes.add(first), pastes.add(second)
    assert (chip, other) == ("[pasted 20 lines]", "[pasted 20 lines #2]")
    text = f"x {chip} y {other} z {chip}"
    assert pastes.expand(text) == f"x {first} y {second} z {first}"
    counted = pastes.counted(chip, 3100)
    assert counted == "[pasted 20 lines · 3.1k tokens]"
    assert pastes.fold(pastes.expand(f"x {counted}!")) == f"x {counted}!"
    inside = pastes.add(f"{chip} " * 200)
    assert pastes.expand(inside) == f"{chip} " * 200


def test_size_and_line_ends_of_pastes() -> None:
    assert [big("x\n" * n) for n in (8, 9)] == [False, True]
    assert [big("x" * n) for n in (2000, 2001)] == [False, True]
    assert tidy("a\r\nb\rc\n") == "a\nb\nc\n"


def test_words_of_scripts_without_spaces() -> None:
    assert [match.start() for match in re.finditer(BOUNDARY, "東京タワーに行きます")] == [2, 5, 6, 7]
    found = re.match(RUN, "  カタカナ漢字")
    assert found is not None
    assert found[0] == "  カタカナ"
    found = re.match(RUN, "naïve 東")
    assert found is not None
    assert found[0] == "naïve"
