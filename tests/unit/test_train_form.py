"""The train form without its widgets."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.api import ErrorInfo, runs
from tests.support.fake_runs import ESTIMATE, REPORT, SPEC
from tui import train_presets
from tui.train_fields import changed
from tui.train_form import auto_name, field_of, read, texts
from tui.train_words import (
    OFFERED,
    change_words,
    data_words,
    need_words,
    parts_words,
    time_words,
    way_of,
    way_spec,
    way_title,
    way_words,
)


def test_a_spec_survives_the_form() -> None:
    spec = replace(
        SPEC,
        **{"steps": 40, "batch": 2, "accumulate": 3, "eval_fraction": 0.1, "rate": 2e-4, "dropout": 0.05},
        **{
            "warmup": 0.1,
            "loraplus": 16.0,
            "seed": 7,
            "tags": ("legal", "keep"),
            "samples": ("Who?", "Why?"),
        },
        **{"targets": r".*\.q_proj", "eval_data": "/held.jsonl", "save_every": 20, "limit": 500},
    )
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
        ("dropout", "95"),
        ("seed", "1.5"),
        ("warmup", "-1"),
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
        ("spec_wrong", "epochs is 5000, and must lie between 0 and 1000", "epochs"),
        ("data_empty", "x.jsonl has no usable row", "data"),
        ("no_chat_template", "base has no chat template", "model"),
        ("disk_full", "The disk is full", ""),
        ("spec_wrong", "quant is nf5, and must be one of nf4, bnb8", "method"),
        ("hub_offline", "The hub cannot be reached", "data"),
        ("no_targets", "No layer matches", "targets"),
    ],
)
def test_a_refusal_belongs_to_a_field(code: str, title: str, field: str) -> None:
    assert field_of(ErrorInfo(code, title)) == field


def test_the_data_in_words() -> None:
    assert data_words(REPORT, "A pirate's voice") == (
        "A pirate's voice · 240 chats · 45 % of the text is learned · every line is fine"
    )
    spread = runs.Spread((1, 2, 3, 4, 5, 9), (0, 9), (240,), 312_000)
    counted = replace(REPORT, tokens=spread, labelled=127_920, too_long=3, kind="pairs")
    assert data_words(counted).startswith(
        "240 preferences · 312k tokens, 41 % learned · 3 too long, left out"
    )
    assert "3 lines need a look" in data_words(replace(REPORT, problem_count=3))
    assert "1 line needs a look" in data_words(replace(REPORT, problem_count=1))


def test_the_need_in_words() -> None:
    assert need_words(ESTIMATE) == "17.6 M more, of 8.4 G free"
    assert parts_words(ESTIMATE).startswith("base 7.9 M shared + adapter 1.0 M + ")
    assert time_words(ESTIMATE).startswith("171 steps over 228 rows · about 38 s on this machine")
    assert "about" not in time_words(replace(ESTIMATE, seconds=None))


def test_a_change_that_makes_it_fit_tells_what_it_takes_then() -> None:
    change = runs.FitChange("batch 2 × 2 instead of 4 × 1", {"batch": 2, "accumulate": 2}, 6_000_000)
    assert change_words(replace(ESTIMATE, changes=(change,))) == ["batch 2 × 2 instead of 4 × 1 · 5.7 M then"]


def test_each_way_of_training_has_a_name_and_a_line_and_comes_back_as_it_was() -> None:
    assert [way_title(way) for way in OFFERED[:5]] == ["LoRA", "rsLoRA", "DoRA", "PiSSA", "QLoRA (4-bit)"]
    for way in OFFERED:
        spec = way_spec(way, SPEC)
        assert way_of(spec) == way
        assert way_words(spec)


def test_a_preset_is_known_again_until_something_of_it_is_changed() -> None:
    tiny = train_presets.apply("tiny", SPEC)
    assert (tiny.quant, tiny.batch, tiny.alpha, tiny.data) == ("nf4", 1, 0, SPEC.data)
    assert train_presets.preset_of(tiny) == "tiny"
    assert train_presets.preset_of(replace(tiny, seed=3)) == "tiny"
    assert train_presets.preset_of(replace(tiny, rank=12)) == train_presets.OWN


def test_what_lies_under_more_and_is_not_as_it_comes_is_told_in_short() -> None:
    assert changed(runs.TrainSpec("demo", "x")) == []
    spec = replace(SPEC, alpha=0, dropout=0.05, packing=True, seed=7, peft={"use_dora": True}, targets="q.*")
    assert changed(spec) == ["dropout 5 %", "packing", "seed 7", "targets by pattern", "peft keys (1)"]
