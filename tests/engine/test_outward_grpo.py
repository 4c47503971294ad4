"""GRPO: what a reward may be, the process that learns by it, and TRL's real trainer on a tiny model."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from engine.data import reward as rewards
from engine.data.load import objectives_for
from engine.data.reward import check_grpo, reward_of
from engine.data.rows import Row
from engine.models.describe import describe
from engine.protocol.errors import EngineError
from engine.protocol.runs import StepPoint
from engine.protocol.specs import ModelInfo
from engine.protocol.training import TrainSpec
from engine.training import RunJob, RunOutcome
from engine.workers.training.outside import train_outside
from tests.support.tiny import tiny_model
from tests.support.tiny_run import RecordedRun, write_rows

SPEC = TrainSpec("tiny", "d", objective="grpo", batch=2)
CHILD = "tests.support.outside_run"


def job(name: str) -> RunJob:
    return RunJob(name, "", SPEC, ModelInfo("tiny", "Tiny", "folder"), "d")


@pytest.fixture(autouse=True)
def _children_find_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


def test_a_reward_of_ones_own_gets_prompt_and_answer(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def reward(prompt, answer):\n    return len(prompt) - len(answer)\n")
    assert reward_of(str(file))("four", "a", "ignored") == 3
    file.write_text("def reward(prompt, answer, expected):\n    return answer == expected\n")
    assert reward_of(str(file))("q", "a", "a") == 1.0
    assert (reward_of("")("q", "Yes.", "yes"), reward_of("exact")("q", "no", "yes")) == (1.0, 0.0)
    assert reward_of("length")("q", "x" * rewards.LENGTH, "") > reward_of("length")("q", "x", "")


@pytest.mark.parametrize("text", ["x = 1", "def reward(", "raise SystemError('no')"])
def test_a_file_without_a_reward_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(text)
    with pytest.raises(EngineError, match="gives no reward"):
        reward_of(str(file))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"batch": 1}, "batch is 1"),
        ({"method": "full"}, "adapter on a whole base"),
        ({"reward": "/nowhere/r.py"}, "no Python file"),
        ({"objective": "chat", "reward": "exact"}, "Only grpo"),
    ],
)
def test_what_grpo_cannot_do_is_refused(changes: dict[str, Any], words: str) -> None:
    check_grpo(SPEC)
    with pytest.raises(EngineError, match=words):
        check_grpo(replace(SPEC, **changes))


def test_grpo_without_trl_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewards, "find_spec", lambda _: None)
    with pytest.raises(EngineError, match=r"qwill\[rl\]"):
        check_grpo(SPEC)


def test_chats_are_not_offered_for_grpo_by_themselves() -> None:
    assert objectives_for(Row) == ("chat",)


def test_a_run_in_a_process_of_its_own_reports_like_any_other() -> None:
    sink = RecordedRun()
    assert train_outside(CHILD, job("ends"), sink) == RunOutcome(3, loss=0.25)
    assert (sink.steps, sink.phases, list(sink.losses)) == (9, ["train"], [1, 2, 3])


def test_a_stop_reaches_the_process_and_it_ends_by_itself() -> None:
    def stop(sink: RecordedRun, point: StepPoint) -> None:
        if point.step == 3:
            threading.Timer(0.2, sink.stopped.set).start()

    assert train_outside(CHILD, job("long"), RecordedRun(stop)).step == 3


@pytest.mark.parametrize(("name", "words"), [("fails", "It fell over"), ("vanishes", "without a word")])
def test_a_process_that_fails_fails_the_run(name: str, words: str) -> None:
    with pytest.raises(EngineError, match=words):
        train_outside(CHILD, job(name), RecordedRun())


@pytest.mark.engine
@pytest.mark.skipif(not os.environ.get("QWILL_FAULTS"), reason="QWILL_FAULTS=1 runs it: TRL takes 15 seconds")
def test_trl_learns_two_steps_by_a_reward_file(tmp_path: Path) -> None:
    pytest.importorskip("trl", reason="the extra rl")
    tiny_model(tmp_path / "model")
    data = write_rows(tmp_path / "rows.jsonl")
    file = tmp_path / "mine.py"
    file.write_text("def reward(prompt, answer):\n    return answer.count('e')\n")
    spec = replace(
        SPEC, data=str(data), reward=str(file), rank=4, alpha=8, steps=2, rate=1e-2, length=24, name="g"
    )
    info = describe(tmp_path / "model", "tiny", "Tiny", "folder")
    sink = RecordedRun()
    outcome = train_outside(
        "engine.workers.grpo", RunJob("0001-g", str(tmp_path), spec, info, str(data)), sink
    )
    assert outcome.step == 2
    assert all("reward" in point.metrics for point in sink.points)
    assert (Path(outcome.adapter) / "adapter_model.safetensors").is_file()
