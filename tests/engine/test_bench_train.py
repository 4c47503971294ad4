"""`qwill bench train`: both sides train the same, in processes of their own, and what is said of them."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

pytest.importorskip("torch")

from engine.bench_training import SideJob, TrainJob, Turn, _found  # noqa: E402
from engine.protocol.errors import EngineError  # noqa: E402
from engine.workers.bench import train  # noqa: E402
from tests.support.deep import deep  # noqa: E402
from tests.support.tiny import tiny_model  # noqa: E402
from tui.cli import bench_train as lines  # noqa: E402
from tui.cli.main import main  # noqa: E402

pytestmark = pytest.mark.engine
GIB = 1 << 30


@deep
@pytest.mark.skipif(find_spec("trl") is None, reason="trl is not installed")
def test_the_losses_are_those_of_trl(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same ids, labels, rates and first weights give the same losses in float32."""
    model = tiny_model(tmp_path / "model", spread=0.1)
    asked = ["bench", "train", "--model", model.path, "--against", "trl", "--json"]
    assert main([*asked, "--steps", "4", "--length", "48", "--rounds", "1"]) == 0
    out = capsys.readouterr()
    found = json.loads(out.out)
    assert found["max_loss_diff"] <= 1e-3
    ours, trl = found["ours"], found["trl"]
    assert len(ours["losses"]) == len(trl["losses"]) == 4
    assert ours["losses"][3] != ours["losses"][0]
    assert found["time_ratio"] == pytest.approx(ours["step_s"] / trl["step_s"])
    assert found["memory_ratio"] == pytest.approx(ours["peak_bytes"] / trl["peak_bytes"])
    assert ours["threads"] == trl["threads"] >= 1
    assert ours["peak_bytes"] >= ours["loaded_bytes"] >= ours["imported_bytes"] > 0
    assert (ours["dtype"], ours["checkpointing"]) == ("float32", False)
    assert "turn 1 of 1, TRL: step 4" in out.err


def turn(step: float, peak: int, *losses: float) -> Turn:
    return Turn([9.0, 9.0, step, step], list(losses), [], peak, 0, 0, 2, "float32", {"trl": "1"})


def test_ratios_are_ours_to_trls_over_medians(tmp_path: Path) -> None:
    job = TrainJob(tiny_model(tmp_path), steps=4, rounds=3)
    ours = [turn(1, 2 * GIB, 3.0, 2.0), turn(9, 2 * GIB, 3.0, 2.0), turn(1, 2 * GIB, 3.0, 2.0)]
    theirs = [turn(4, 4 * GIB, 3.0, 2.5), turn(4, 4 * GIB, 3.0, 2.5), turn(4, 9 * GIB, 3.0, 2.5)]
    found = _found(job, ours, theirs)
    assert (found.time_ratio, found.memory_ratio, found.max_loss_diff) == (0.25, 0.5, 0.5)
    assert found.ours.step_s_turns == [1, 9, 1]


def test_people_read_what_the_sides_are_to_each_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = TrainJob(tiny_model(tmp_path), steps=2)
    lines.show_train(_found(job, [turn(1, 2 * GIB, 3.0, 2.0)], [turn(4, 4 * GIB, 3.0, 2.5)]))
    out = capsys.readouterr().out
    assert "0.25 times TRL's time and 0.50 times its peak memory" in out
    assert "checkpointing off" in out
    assert "differ by 5.0e-01" in out


def test_without_trl_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    job = SideJob("trl", TrainJob(tiny_model(tmp_path)), str(tmp_path))
    with pytest.raises(EngineError) as caught:
        train._take(job, lambda _words: None)
    assert caught.value.info.code == "trl_missing"
    assert "pip install" in caught.value.info.remedy
