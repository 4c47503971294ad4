"""What a run's end says: greedy answers, habits, forgetting; and that samples leave the run as it was."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from engine.backend import LoadSpec  # noqa: E402
from engine.protocol.report import Habits, RunReport, RunSample  # noqa: E402
from engine.protocol.runs import StepPoint  # noqa: E402
from engine.runs import report as on_disk  # noqa: E402
from engine.runs.log import LogWriter, read  # noqa: E402
from engine.workers.backend import create  # noqa: E402
from engine.workers.training.answers import greedy  # noqa: E402
from engine.workers.training.base import Base  # noqa: E402
from engine.workers.training.report import general_examples, may_take, repetition, report  # noqa: E402
from tests.support.deep import deep  # noqa: E402
from tests.support.tiny import tiny_model  # noqa: E402

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("tiny")
    backend: Any = create()
    info = backend.load(LoadSpec(tiny_model(folder), "float32"), lambda *_: None, threading.Event())
    return Base.of(backend._models[info.id])


def test_greedy_answers_are_those_of_generate_and_draw_nothing(base: Any) -> None:
    prompt = base.labeller.asked("Who are you?")
    before = torch.get_rng_state()
    found = greedy(base.pristine, prompt, base.labeller.stop_ids, 12)
    assert torch.equal(torch.get_rng_state(), before)
    ids = torch.tensor([prompt])
    expected = base.pristine.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False
    )
    assert found.ids == expected[0, len(prompt) :].tolist()
    assert not found.stopped
    assert greedy(base.pristine, prompt, frozenset(found.ids[3:4]), 12).stopped
    assert greedy(base.pristine, prompt, frozenset(), 12, lambda: False).ids == []


@deep
def test_a_model_against_itself_forgot_nothing(base: Any) -> None:
    examples = general_examples(base.labeller)
    assert sum(example.labelled for example in examples) > 500
    chats = [example for example in examples if example.labels[0] == -100]
    assert len(chats) == 4
    made = report(base.pristine, base.pristine, base.labeller, chats, (), seconds=60)
    assert made.forgetting == 0
    assert made.answers[0].before == made.answers[0].after
    assert made.before == made.after
    assert isinstance(made.after, Habits)
    assert made.after.answers == 4
    assert made.why


def test_without_time_nothing_is_claimed(base: Any, tmp_path: Path) -> None:
    made = report(base.pristine, base.pristine, base.labeller, [], (), seconds=0)
    assert (made.forgetting, made.answers, made.after, made.advice) == (None, (), None, "")
    assert on_disk.read(tmp_path) is None
    on_disk.write(tmp_path, made)
    assert on_disk.read(tmp_path) == made
    (tmp_path / on_disk.NAME).write_text("{")
    assert on_disk.read(tmp_path) is None


def test_a_report_takes_a_small_share_of_the_run() -> None:
    assert [may_take(seconds) for seconds in (0, 5, 60, 600, 36_000)] == [0, 0.5, 3, 18, 60]


def test_repetition_is_the_share_of_what_stood_before() -> None:
    assert repetition([1, 2, 3]) == 0
    assert repetition(list(range(20))) == 0
    assert repetition([1, 2, 3, 4] * 10) > 0.8


def test_forgetting_is_the_difference() -> None:
    assert RunReport(general_before=2.0, general_after=2.5).forgetting == 0.5
    assert RunReport(general_before=2.0).forgetting is None


def test_samples_are_read_with_their_steps(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path / "log.jsonl")
    for step in (1, 2, 3):
        writer.point(StepPoint(step, loss=1.0))
        writer.sample(RunSample(step, "Who?", f"answer {step}"))
    writer.sample(RunSample(3, "Who?", "again"))
    writer.close()
    assert [each.text for each in read(tmp_path / "log.jsonl").samples] == ["answer 1", "answer 2", "again"]
    assert [each.step for each in read(tmp_path / "log.jsonl", since=2, limit=1).samples] == [2]
