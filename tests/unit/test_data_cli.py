"""`qwill data` for people: the facts of a check, a row with its marks."""

from __future__ import annotations

import pytest

from engine.protocol.data import MaskPreview, MaskToken
from engine.protocol.runs import DatasetReport, Problem, Spread
from tui.cli.data_mask import facts, marked
from tui.cli.data_report import show
from tui.cli.parser import build_parser

TOKENS = (
    MaskToken("user\n"),
    MaskToken("Hi"),
    MaskToken("Ar", labelled=True),
    MaskToken("r!<end>", labelled=True),
    MaskToken("\n"),
)


def test_what_is_learnt_stands_between_marks() -> None:
    preview = MaskPreview(17, 1204, 17, TOKENS, total=5, labelled=2, stop_trained=True)
    assert marked(preview) == "user↵\nHi▌Arr!<end>▐↵\n"
    expected = "row 17 of 1,204 · 5 tokens · 2 labelled (40 %) · stop token trained: yes · nothing cut"
    assert facts(preview) == expected


def test_a_report_names_what_needs_a_look(capsys: pytest.CaptureFixture[str]) -> None:
    problem = Problem(3, "chosen", "empty")
    lengths = Spread((1, 2, 3, 4, 5, 6), (0, 5, 10), (9, 1), 40)
    show(
        DatasetReport(
            "d.csv", 10, (problem,), 4, form="kto", kind="votes", file="csv", good=7, leaks=2, lengths=lengths
        )
    )
    text = capsys.readouterr().out
    for words in ("kto in CSV", "2 rows: its prompt", "7 good, 3 bad", "line 3", "3 problems more", "█"):
        assert words in text


def test_columns_that_are_unknown_ask_to_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    show(DatasetReport("d.csv", keys=("frage", "antwort")))
    assert "--column prompt=NAME" in capsys.readouterr().out


def test_columns_are_given_by_what_they_mean(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["data", "check", "d.csv", "--column", "prompt=frage", "--column", "answer=a=b"]
    assert build_parser().parse_args(asked).columns == [("prompt", "frage"), ("answer", "a=b")]
    with pytest.raises(SystemExit):
        build_parser().parse_args([*asked, "--column", "colour=red"])
    assert "not MEANING=NAME" in capsys.readouterr().err
