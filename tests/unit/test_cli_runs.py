"""`qwill train` and `runs`: the spec that options and files make; how steps, curves and phases are said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest

from engine.api import EngineError, runs
from engine.protocol.training import ALIASES, METHODS, OBJECTIVES, Checkpointing, Schedule, Tracker
from tests.unit.test_import_hygiene import HEAVY, SCREEN, loaded_after
from tui.cli.follow import chat_line
from tui.cli.main import DONE, FAILED, USAGE, main
from tui.cli.parser import build_parser
from tui.cli.parser_train import FLAGS
from tui.cli.run_lines import words
from tui.cli.run_page import curve, phases
from tui.cli.run_rows import progress, row
from tui.cli.train import data_name, does_not_fit, wanted

WRONG = [
    ["train"],
    ["train", "--rank", "8"],
    ["train", "--data", "x.jsonl", "--rank", "many"],
    ["train", "--data", "x.jsonl", "--rate", "nan"],
    ["train", "--data", "x.jsonl", "--steps", "-1"],
    ["train", "--data", "x.jsonl", "--method", "magic"],
    ["train", "--data", "x.jsonl", "--peft", "use_rslora"],
    ["runs", "move", "a", "0"],
    ["runs", "pause", "a", "--mode", "sleep"],
    ["--in-process", "train", "--data", "x.jsonl"],
    ["runs"],
    ["runs", "show"],
    ["adapters"],
    ["adapters", "use"],
    ["adapters", "use", "tin", "--off"],
    ["data", "check"],
]


def spec_of(*argv: str) -> runs.TrainSpec:
    """What `qwill train ...` would ask the engine for."""
    return wanted(build_parser().parse_args(["train", *argv]))


@pytest.mark.parametrize("argv", WRONG, ids=" ".join)
def test_wrong_usage_is_one_line_with_a_remedy(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == USAGE
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("qwill: ")
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    "argv", [["train"], ["runs"], ["adapters", "use"], ["data"], ["monitor"], ["doctor"]]
)
def test_every_command_explains_itself(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*argv, "--help"]) == DONE
    assert f"usage: qwill {' '.join(argv)}" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["train", "runs", "adapters", "data", "monitor", "doctor"])
def test_no_command_imports_torch_or_the_screen(name: str) -> None:
    assert loaded_after(f"import tui.cli.{name}") & (HEAVY | SCREEN) == set()


def test_every_key_of_a_run_has_its_option() -> None:
    assert sorted(flag.field for flag in FLAGS) == sorted(set(runs.TrainSpec.__struct_fields__) - {"model"})
    choices = {flag.field: flag.kind for flag in FLAGS if isinstance(flag.kind, tuple)}
    assert set(choices["method"]) == {*METHODS, *ALIASES}
    assert choices["objective"] == OBJECTIVES
    assert choices["trackers"] == get_args(Tracker)
    assert choices["schedule"] == get_args(Schedule)
    assert choices["checkpointing"] == get_args(Checkpointing)


def test_options_of_every_kind_are_read() -> None:
    spec = spec_of(
        *("--data", "shipped:pirate", "--method", "qdora", "--max-steps", "7", "--packing"),
        *("--column", "prompt=frage", "--column", "answer=ant=wort", "--sample", "Who?", "--sample", "Why?"),
        *("--peft", "use_rslora=true", "--peft", "bias=none", "--tag", "a", "--tracker", "tensorboard"),
    )
    assert (spec.method, spec.quant, spec.steps, spec.packing) == ("dora", "nf4", 7, True)
    assert spec.columns == {"prompt": "frage", "answer": "ant=wort"}
    assert (spec.samples, spec.tags, spec.trackers) == (("Who?", "Why?"), ("a",), ("tensorboard",))
    assert spec.peft == {"use_rslora": True, "bias": "none"}
    assert spec_of("--data", "shipped:pirate", "--method", "qlora", "--quant", "none").quant == ""


def test_a_preset_is_a_start_that_options_win_over() -> None:
    spec = spec_of("--data", "shipped:pirate", "--preset", "tiny", "--rank", "3")
    assert (spec.quant, spec.batch, spec.rank) == ("nf4", 1, 3)


def test_options_alone_make_a_spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spec = spec_of("-m", "demo", "--data", "mine.jsonl", "--rank", "4", "--rate", "1e-3", "--targets", "mlp")
    assert spec.model == "demo"
    assert spec.data == str(tmp_path / "mine.jsonl")
    assert (spec.rank, spec.rate, spec.targets) == (4, 1e-3, "mlp")
    assert spec.batch == runs.TrainSpec("", "").batch
    assert spec_of("--data", "shipped:pirate").model == ""


def test_options_win_over_the_file_and_its_paths_start_where_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "lab"
    folder.mkdir()
    (folder / "run.toml").write_text('model = "./base"\ndata = "mine.jsonl"\nrank = 0\nsteps = 50\n')
    monkeypatch.chdir(tmp_path)
    spec = spec_of("lab/run.toml", "--rank", "8", "--seed", "3")
    assert (spec.rank, spec.steps, spec.seed) == (8, 50, 3)
    assert spec.data == str(folder / "mine.jsonl")
    assert spec.model == str(folder / "base")
    assert spec_of("lab/run.toml", "--rank", "8", "--data", "o.jsonl").data == str(tmp_path / "o.jsonl")


@pytest.mark.parametrize(
    ("text", "code", "names"),
    [
        ('model = "demo"\ndata = "x"\nrank = 0', "spec_wrong", "rank is 0"),
        ('model = "demo"\ndata = "x"\nranks = 2', "spec_wrong", "ranks"),
        ('model = "demo"', "spec_wrong", "data"),
        ("model = demo", "spec_unreadable", "line 1"),
    ],
)
def test_a_wrong_file_names_the_place(tmp_path: Path, text: str, code: str, names: str) -> None:
    (tmp_path / "run.toml").write_text(text)
    with pytest.raises(EngineError) as caught:
        spec_of(str(tmp_path / "run.toml"))
    assert caught.value.info.code == code
    assert names in caught.value.info.sentence()
    assert caught.value.info.remedy


def test_a_wrong_spec_is_said_before_any_engine_starts(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--data", "x.jsonl", "--rank", "0"]) == FAILED
    assert capsys.readouterr().err.startswith("qwill: rank is 0, and must lie between 1 and 1024. ")
    assert main(["train", str(home / "none.toml")]) == FAILED
    assert "No such file" in capsys.readouterr().err
    assert not (home / "state" / "qwill" / "engine.log").exists()


def test_a_dataset_that_comes_with_qwill_is_no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/somewhere")
    assert data_name("shipped:pirate") == "shipped:pirate"
    assert data_name("~/a.jsonl") == "/somewhere/a.jsonl"
    assert data_name("a.jsonl") == str(tmp_path / "a.jsonl")


FACTS: dict[str, Any] = {
    "step": 3,
    "steps": 12,
    "loss": 1.23456,
    "eval_loss": 1.5,
    "rate": 3.9e-3,
    "tokens_per_s": 412.4,
    "eta_s": 3.21,
}


def test_a_step_is_one_line() -> None:
    assert words(FACTS) == "step 3/12 · loss 1.235 · eval 1.500 · rate 3.9e-03 · 412 tok/s · 3.2 s left"
    bare = FACTS | {"eval_loss": None, "eta_s": None}
    assert words(bare) == "step 3/12 · loss 1.235 · rate 3.9e-03 · 412 tok/s"


def test_a_curve_keeps_its_spikes_however_long_it_is() -> None:
    assert curve([]) == ""
    assert curve([1.0, 0.5]) == "█▄"
    values = [1.0] * 5000
    values[3333] = 8.0
    drawn = curve(values)
    assert len(drawn) == 60
    assert drawn.count("█") == 1


def test_phases_are_summed_with_their_peaks() -> None:
    marks = [
        runs.PhaseMark("load", at=10.0, memory=100),
        runs.PhaseMark("train", at=12.0, memory=150, peak=180),
        runs.PhaseMark("eval", at=15.0, memory=170, peak=300),
        runs.PhaseMark("train", at=16.0, memory=170, peak=200),
        runs.PhaseMark("end", at=20.0, memory=160, peak=250),
    ]
    found = phases(marks, runs.RunInfo("1", runs.TrainSpec("demo", "x"), ended=21.0))
    assert [(s.phase, s.times, s.seconds, s.peak) for s in found] == [
        ("load", 1, 2.0, 180),
        ("train", 2, 7.0, 300),
        ("eval", 1, 1.0, 200),
    ]


def test_a_row_is_plain_data_with_what_a_script_needs() -> None:
    info = runs.RunInfo("0007-tin", runs.TrainSpec("demo", "shipped:pirate"), name="tin")
    facts = json.loads(json.dumps(row(info)))
    wanted_keys = ("id", "name", "state", "step", "steps", "loss")
    assert [facts[key] for key in wanted_keys] == ["0007-tin", "tin", "queued", 0, 0, None]
    assert (facts["model"], facts["data"], facts["error"]) == ("demo", "shipped:pirate", None)
    assert progress(info) == "-"
    assert chat_line(info) == ""


def test_what_does_not_fit_is_told_with_the_changes_that_would() -> None:
    """What is needed is the engine's own figure, and not the sum of the parts."""
    ways = (runs.FitChange("batch 2 x 4: 1.2 G less", {"batch": 2}, 1 << 30),)
    found = runs.Estimate(
        10, 5, parts={"base": 1 << 20}, need=3 << 30, free=2 << 30, fits=False, changes=ways
    )
    said = does_not_fit(found).info.sentence()
    assert "it takes 3.0 G beside what is loaded" in said
    assert "batch 2 x 4: 1.2 G less" in said
