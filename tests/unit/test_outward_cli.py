"""The command line of what goes out: exported curves, trackers, rewards and the harness."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from engine.api import QwillError
from tui.cli.harness import task_name
from tui.cli.main import USAGE, main
from tui.cli.parser import build_parser
from tui.cli.run_export import as_csv
from tui.cli.train import wanted


def train(*words: str) -> object:
    return wanted(build_parser().parse_args(["train", *words]))


def test_every_way_to_train_is_reached_from_the_command_line() -> None:
    for method in ("olora", "eva", "loftq"):
        assert train("--data", "d.jsonl", "--method", method).method == method  # type: ignore[attr-defined]
    spec = train("--data", "d.jsonl", "--loraplus", "16", "--tracker", "tensorboard", "--tracker", "mlflow")
    assert (spec.loraplus, spec.trackers) == (16.0, ("tensorboard", "mlflow"))  # type: ignore[attr-defined]


def test_a_reward_file_is_named_from_here() -> None:
    spec = train("--data", "d.jsonl", "--objective", "grpo", "--reward", "mine.py")
    assert spec.reward == str(Path("mine.py").absolute())  # type: ignore[attr-defined]
    assert train("--data", "d.jsonl", "--reward", "length").reward == "length"  # type: ignore[attr-defined]


def test_a_run_toml_may_not_bring_a_program_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('model = "demo"\ndata = "d.jsonl"\nobjective = "grpo"\nreward = "theirs.py"\n')
    with pytest.raises(QwillError, match="say so yourself"):
        train(str(file))
    assert train(str(file), "--reward", "theirs.py").objective == "grpo"  # type: ignore[attr-defined]


def test_a_curve_as_csv_has_every_metric_as_a_column() -> None:
    rows = [{"step": 1, "loss": 0.1234567890123}, {"step": 2, "loss": None, "margin": 0.5}]
    found = list(csv.DictReader(io.StringIO(as_csv(rows))))
    assert [row["margin"] for row in found] == ["", "0.5"]
    assert float(found[0]["loss"]) == 0.1234567890123


def test_a_task_file_is_named_from_here_and_a_name_stays() -> None:
    assert task_name(" hellaswag ") == "hellaswag"
    assert task_name("quiz.yaml") == str(Path("quiz.yaml").absolute())


def test_rows_and_the_harness_are_not_measured_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "--data", "d.jsonl", "--harness", "hellaswag"]) == USAGE
    assert "not allowed with" in capsys.readouterr().err
