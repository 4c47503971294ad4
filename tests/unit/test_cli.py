"""The command line: its grammar, its one-line errors, its tables, and how a growing reply is put together."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine.api import EngineError, fault
from tui.cli import output
from tui.cli.loading import may_evict, model_name
from tui.cli.main import DONE, FAILED, USAGE, main
from tui.cli.models import count
from tui.cli.stream import Growing

WRONG = [
    ["nonsense"],
    ["chat"],
    ["chat", "-p", "  "],
    ["chat", "-p", "hi", "--top-p", "1.5"],
    ["chat", "-p", "hi", "--temperature", "-1"],
    ["chat", "-p", "hi", "--temperature", "nan"],
    ["chat", "-p", "hi", "--temperature", "inf"],
    ["chat", "-p", "hi", "--max-tokens", "0"],
    ["chat", "-p", "hi", "--seed", str(1 << 63)],
    ["chat", "-p", "hi", "--dtype", "int3"],
    ["chat", "-p", "\udcff"],
    ["models"],
    ["models", "show"],
    ["engine"],
    ["engine", "dance"],
]


@pytest.mark.parametrize("argv", WRONG, ids=" ".join)
def test_wrong_usage_is_one_line_with_a_remedy(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == USAGE
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("qwill: ")
    assert said.err.count("\n") == 1
    assert "-" in said.err


@pytest.mark.parametrize("argv", [["chat", "--top-k", "many", "--json"], ["chat", "--json"]])
def test_with_json_wrong_usage_is_an_error_object(
    argv: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["qwill", *argv])
    assert main(argv) == USAGE
    said = capsys.readouterr()
    assert said.err == ""
    error = json.loads(said.out)["error"]
    assert error["code"] == "usage"
    assert error["title"]
    assert error["remedy"]


@pytest.mark.parametrize(
    "argv", [["--help"], ["chat", "--help"], ["models", "load", "--help"], ["--version"]]
)
def test_help_and_version_are_done(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == DONE
    assert "qwill" in capsys.readouterr().out


def test_without_a_terminal_the_workbench_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == FAILED
    assert "qwill chat -p" in capsys.readouterr().err


def test_status_without_an_engine_fails_and_starts_none(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["engine", "status", "--json"]) == FAILED
    assert json.loads(capsys.readouterr().out) == {"running": False}
    assert main(["engine", "stop"]) == DONE
    assert capsys.readouterr().out == "No engine was running.\n"
    assert not (home / "state" / "qwill" / "engine.log").exists()


@pytest.mark.parametrize("option", ["-f", "-i"])
def test_a_file_that_is_not_there_starts_no_engine(
    option: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["chat", "-p", "hi", option, str(home / "absent.txt")]) == FAILED
    assert capsys.readouterr().err == "qwill: absent.txt cannot be read: no such file or directory.\n"
    assert not (home / "state" / "qwill").exists()


def test_an_unwritable_state_folder_is_one_sentence(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = home / "file"
    blocked.write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(blocked))
    assert main(["engine", "start"]) == FAILED
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "XDG_STATE_HOME" in said


def test_a_reader_that_leaves_is_no_error() -> None:
    """`qwill --help | head -1` ends without a traceback."""
    command = f"{sys.executable} -c 'import tui.cli.main as m; m.main([\"--version\"])' | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_a_table_aligns_numbers_right_and_wide_characters_by_cells(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.table([("name", "size"), ("漢字", "7"), ("ab\x1b[2J\n", "1,024")], right=(1,))
    assert capsys.readouterr().out.splitlines() == [
        "name    size",
        "漢字       7",
        "ab[2J  1,024",
    ]


def test_json_keeps_every_field_and_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    output.say_json(output.plain(fault("x", "line\nbreak \u009b").info))
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert json.loads(said) == {
        "code": "x",
        "title": "line\nbreak \u009b",
        "detail": "",
        "remedy": "",
        "retryable": False,
    }


def test_a_growing_part_takes_each_delta_once() -> None:
    part = Growing()
    assert part.add(0, "abc") == "abc"
    assert part.add(0, "abc") == ""
    assert part.add(2, "cde") == "de"
    assert part.add(9, "lost") == ""
    assert part.finish("abcdefghi") == "fghi"
    assert part.finish("abcdefghi") == ""


async def test_a_refused_eviction_without_a_terminal_names_the_option() -> None:
    tries = []

    async def attempt(evict: bool) -> int:
        tries.append(evict)
        raise fault("would_evict", "demo would have to go", remedy="Close the workbench")

    with pytest.raises(EngineError) as caught:
        await may_evict(attempt, evict=False)
    assert tries == [False]
    assert "--evict" in caught.value.info.remedy


async def test_another_refusal_passes_unchanged() -> None:
    async def attempt(evict: bool) -> int:
        raise fault("model_not_found", "No such model")

    with pytest.raises(EngineError, match="No such model"):
        await may_evict(attempt, evict=False)


def test_only_a_folder_becomes_an_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text("{}")
    (tmp_path / "demo").mkdir()
    assert model_name("mine") == str(tmp_path / "mine")
    assert model_name("./other") == str(tmp_path / "other")
    assert model_name("demo") == "demo"
    assert model_name("Qwen/Qwen3-0.6B") == "Qwen/Qwen3-0.6B"


def test_parameters_are_counted_in_large_units() -> None:
    assert [count(n) for n in (0, 795, 4_100_000, 1_700_000_000)] == ["-", "795", "4.1 M", "1.7 B"]
