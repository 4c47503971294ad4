"""Files of marked replies: where they go, that nothing is overwritten, that nothing is written twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.api import EngineError, commands, data_dir
from tui.marked_rows import exports_dir, fetch, free_path, keep, write


async def test_rows_are_fetched_page_by_page_and_counted() -> None:
    pages = {0: commands.MarkedRows(rows=("a", "b"), more=True), 2: commands.MarkedRows(rows=("c",))}
    asked: list[commands.ExportMarked] = []
    counts: list[int] = []

    async def request(command: Any) -> Any:
        asked.append(command)
        return pages[command.offset]

    assert await fetch(request, "kto", counts.append) == ["a", "b", "c"]
    assert counts == [2, 3]
    assert {each.shape for each in asked} == {"kto"}


def test_a_taken_name_gets_a_number() -> None:
    first = free_path("marked")
    write(first, ["{}"])
    second = free_path("marked")
    assert first.parent == data_dir() / "exports"
    assert second.name == first.stem + "-2.jsonl"


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text("mine")
    with pytest.raises(EngineError) as caught:
        write(path, ["{}"])
    assert caught.value.info.code == "export_failed"
    assert path.read_text() == "mine"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="nowhere"):
        write(tmp_path / "nowhere" / "rows.jsonl", ["{}"])


def test_the_same_rows_are_kept_once() -> None:
    first = keep("marked", ["a"])
    assert keep("marked", ["a"]) == first
    other = keep("marked", ["a", "b"])
    assert other != first
    assert sorted(path.read_text() for path in exports_dir().iterdir()) == ["a\n", "a\nb\n"]
