"""The train form without its widgets."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.api import ErrorInfo, runs
from tests.support.fake_runs import ESTIMATE, REPORT, SPEC
from tui.train_form import auto_name, data_words, field_of, need_words, parts_words, read, texts, time_words


def test_a_spec_survives_the_form() -> None:
    spec = replace(SPEC, steps=40, batch=2, accumulate=3, eval_fraction=0.1, rate=2e-4)
    assert read(spec, texts(spec)) == (spec, {})


def test_what_is_left_open_stays_open() -> None:
    spec = runs.TrainSpec("demo", "shipped:pirate")
    said = {**texts(spec), "steps": "auto", "rate": "", "length": "2,048", "eval_fraction": "5 %"}
    found, faults = read(spec, said)
    assert not faults
    assert (found.steps, found.rate, found.length, found.eval_fraction) == (0, 0.0, 2048, 0.05)
    assert auto_name(found) == "pirate-r16"


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("rank", "0"),
        ("rank", "many"),
        ("batch", "1.5"),
        ("length", ""),
        ("steps", "-4"),
        ("epochs", "nan"),
        ("rate", "2"),
        ("eval_fraction", "60"),
        ("data", " "),
    ],
)
def test_what_makes_no_sense_is_named_at_its_field(field: str, said: str) -> None:
    _, faults = read(SPEC, {**texts(SPEC), field: said})
    assert list(faults) == [field]
    assert faults[field].endswith(".")


def test_a_typed_path_is_made_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    found, _ = read(SPEC, {**texts(SPEC), "data": "legal.jsonl"})
    assert found.data == str(tmp_path / "legal.jsonl")
    assert auto_name(found) == "legal-r16"


@pytest.mark.parametrize(
    ("code", "title", "field"),
    [
        ("spec_wrong", "rank is 5000, and must lie between 1 and 1024", "rank"),
        ("spec_wrong", "Both steps and epochs are 0", "epochs"),
        ("data_empty", "x.jsonl has no usable row", "data"),
        ("no_chat_template", "base has no chat template", "model"),
        ("disk_full", "The disk is full", ""),
    ],
)
def test_a_refusal_belongs_to_a_field(code: str, title: str, field: str) -> None:
    assert field_of(ErrorInfo(code, title)) == field


def test_the_data_in_words() -> None:
    assert data_words(REPORT, "A pirate's voice") == (
        "A pirate's voice · 240 chats · 45 % of the text is learned · every line is fine"
    )
    assert "3 lines need a look" in data_words(replace(REPORT, problem_count=3))
    assert "1 line needs a look" in data_words(replace(REPORT, problem_count=1))


def test_the_need_in_words() -> None:
    assert need_words(ESTIMATE) == "17.6 M more, of 8.4 G free"
    assert parts_words(ESTIMATE).startswith("base 7.9 M shared + adapter 1.0 M + ")
    assert time_words(ESTIMATE).startswith("171 steps over 228 chats · about 38 s on this machine")
    assert "about" not in time_words(replace(ESTIMATE, seconds=None))
