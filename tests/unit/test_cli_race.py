"""`qwill race`: what its words mean, and that it is as quick to start as the others."""

from __future__ import annotations

import argparse
from typing import Any

import pytest

from tests.unit.test_import_hygiene import HEAVY, SCREEN, loaded_after
from tui.cli import race
from tui.cli.main import DONE, USAGE, main
from tui.cli.parser import build_parser

WRONG = [
    ["race"],
    ["race", "run.toml"],
    ["race", "r=4,8"],
    ["race", "a.toml", "b.toml", "r=4,8"],
    ["race", "show", "race-1", "race-2"],
    ["race", "r=4,8", "--data", "x.jsonl", "--turns", "0"],
    ["--in-process", "race", "r=4,8", "--data", "x.jsonl"],
]


@pytest.mark.parametrize("argv", WRONG, ids=" ".join)
def test_wrong_usage_is_one_line_with_a_remedy(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == USAGE
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith("qwill: ")


def test_it_explains_itself_and_imports_neither_torch_nor_the_screen(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["race", "--help"]) == DONE
    assert "usage: qwill race" in capsys.readouterr().out
    assert loaded_after("import tui.cli.race") & (HEAVY | SCREEN) == set()


def test_words_are_a_file_and_what_is_varied_in_quotes_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    async def start(args: argparse.Namespace, spec: Any, expression: str) -> int:
        seen.append((spec.data.rpartition("/")[2], spec.rank, expression, args.queue, args.keep))
        return 0

    monkeypatch.setattr(race, "_start", start)
    options = ["--data", "x.jsonl", "--rank", "4", "--queue", "--keep", "0.25"]
    for words in (["lr=1e-4,2e-4 seeds=2"], ["lr=1e-4,2e-4", "seeds=2"]):
        assert race.run(build_parser().parse_args(["race", *words, *options])) == 0
    assert seen == [("x.jsonl", 4, "lr=1e-4,2e-4 seeds=2", True, 0.25)] * 2
