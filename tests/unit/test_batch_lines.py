"""Lines of prompts and of answers: what is wrong with one is said by its number; files end in order."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from engine.api import EngineError, specs
from tui.cli import batch_input
from tui.cli.batch_input import Line, read_lines
from tui.cli.batch_output import Output

BASE = specs.ChatSettings(system="Be kind", sampling=specs.Sampling(temperature=0.5, max_tokens=9))


def lines(*raw: bytes | str | dict) -> list[Line]:
    made = [json.dumps(each) if isinstance(each, dict) else each for each in raw]
    data = b"\n".join(each.encode() if isinstance(each, str) else each for each in made)
    return list(read_lines(io.BytesIO(data), BASE))


def test_a_line_says_what_is_asked_and_the_options_say_the_rest() -> None:
    plain, chat = lines(
        {"prompt": "Hi", "custom_id": "a", "temperature": 0, "seed": 3, "think": False, "answer": "not used"},
        {
            "id": 7,
            "system": "",
            "think_budget": 5,
            "messages": [
                {"role": "user", "content": "1?"},
                {"role": "assistant", "content": "", "reasoning_content": "hm"},
                {"role": "user", "content": "2?"},
            ],
        },
    )
    assert (plain.number, plain.id, plain.row.turns[0].text) == (1, "a", "Hi")
    assert plain.row.settings.sampling == specs.Sampling(temperature=0.0, seed=3, max_tokens=9)
    assert (plain.row.settings.system, plain.row.settings.think) == ("Be kind", False)
    assert [turn.thinking for turn in chat.row.turns] == ["", "hm", ""]
    assert (chat.row.settings.system, chat.row.settings.think_budget) == ("", 5)


def test_what_is_wrong_with_a_line_is_said_and_the_next_one_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_input, "LINE_LIMIT", 4000)
    found = lines(
        "{",
        "",
        "[1]",
        b'{"prompt": "\xff"}',
        {"prompt": "x", "messages": []},
        {"prompt": "  "},
        {"messages": [{"role": "assistant", "content": "x"}]},
        {"messages": [{"role": "robot", "content": "x"}]},
        {"prompt": "x", "temperature": True},
        {"prompt": "x", "top_p": 2},
        {"prompt": "x", "max_tokens": 0},
        {"prompt": "x", "seed": 1 << 60},
        {"prompt": "x", "id": {}},
        '{"prompt": "\\ud800"}',
        '{"prompt": ' + "[" * 3900,
        "y" * 9000,
        {"prompt": "good"},
    )
    assert [line.number for line in found] == [1, *range(3, 18)]
    assert all(line.wrong for line in found[:-1])
    assert found[-1].wrong == ""
    assert found[-1].row is not None
    assert found[0].wrong.startswith("it is not JSON")
    assert "4,000 bytes" in found[-2].wrong


def rows(path: Path) -> list[int]:
    return [json.loads(line)["line"] for line in path.read_text().splitlines()]


def put(out: Output, number: int) -> None:
    out.put(number, {"line": number, "hash": f"h{number}", "text": "é\n"})


def test_answers_are_written_in_order_and_those_there_are_known_again(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    out = Output(path)
    for number in (1, 2, 4):
        out.expect(number)
    put(out, 2)
    assert rows(path) == []
    put(out, 1)
    assert rows(path) == [1, 2]
    with pytest.raises(EngineError, match="Another process"):
        Output(path)
    out.finish()
    assert Output(path).done == {1: "h1", 2: "h2"}


def test_a_stop_keeps_what_is_done_and_the_last_run_puts_it_in_order(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    out = Output(path)
    for number in (1, 2, 3):
        out.expect(number)
    put(out, 3)
    out.finish()  # stopped before the first two
    assert rows(path) == [3]
    with path.open("ab") as file:
        file.write(b'{"line": 9, "ha')  # and a kill in the middle of a row
    again = Output(path)
    assert again.done == {3: "h3"}
    for number in (1, 2):
        again.expect(number)
        put(again, number)
    again.finish()
    assert rows(path) == [1, 2, 3]


def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("my notes\nmore")
    with pytest.raises(EngineError, match="something else than answers"):
        Output(path)
    assert path.read_text() == "my notes\nmore"
