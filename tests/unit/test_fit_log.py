"""Predictions kept beside measurements, and the correction that a machine teaches by them."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from engine.models import fit_log
from engine.models.fit_log import Learned, Outcome, learned, log_file, outcomes, record
from tui.fit import trust


def load(ratio: float, machine: str = "RAM", what: str = "load") -> Outcome:
    return Outcome(1.0, machine, "demo", "bfloat16", 1000, round(1000 * ratio), what)


def test_the_median_of_the_newest_twenty_is_the_correction(tmp_path: Path) -> None:
    log = tmp_path / "fit.jsonl"
    for ratio in [1.5] * 30 + [1.1] * 11 + [1.2] * 9:
        record(load(ratio), log)
    assert learned("RAM", log).factor == pytest.approx(1.1)
    assert learned("RAM", log).count == 20


def test_too_few_loads_teach_nothing_and_machines_do_not_mix(tmp_path: Path) -> None:
    log = tmp_path / "fit.jsonl"
    assert learned("RAM", log) == Learned()
    for outcome in (load(1.3), load(1.3), load(2, "VRAM RTX"), load(0.8, what="train")):
        record(outcome, log)
    assert learned("RAM", log) == Learned(count=2)
    record(load(1.3), log)
    assert learned("RAM", log).factor == pytest.approx(1.3)


def test_a_wild_measurement_is_left_out(tmp_path: Path) -> None:
    log = tmp_path / "fit.jsonl"
    for ratio in (1.0, 1.02, 0.98, 9.0, 0.01):
        record(load(ratio), log)
    found = learned("RAM", log)
    assert (found.factor, found.count) == (1.0, 3)
    assert found.error == pytest.approx(0.02)
    assert trust(found) == "predictions are off by 2 % here, over 3 loads"
    assert trust(Learned()) == ""


def test_a_line_that_a_full_disk_cut_off_spoils_no_other(tmp_path: Path) -> None:
    log = tmp_path / "fit.jsonl"
    record(load(1.1), log)
    with log.open("ab") as file:
        file.write(b'{"at": 1.0, "machi')
    record(load(1.2), log)
    assert [outcome.measured for outcome in outcomes(log)] == [1100, 1200]


def test_a_long_log_loses_its_older_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_log, "LONGEST", 1000)
    log = tmp_path / "fit.jsonl"
    for number in range(100):
        record(load(1 + number / 1000), log)
    kept = list(outcomes(log))
    assert len(kept) < 20
    assert kept[-1].measured == 1099


def test_the_log_lies_in_the_data_folder_and_is_private() -> None:
    record(load(1.0))
    assert log_file().name == "fit.jsonl"
    assert stat.S_IMODE(log_file().stat().st_mode) == 0o600
    assert len(list(outcomes())) == 1
