"""The loop: schedules, order, early stop, pauses, numbers that are none, and runs that take turns."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from engine.protocol.errors import EngineError  # noqa: E402
from engine.protocol.runs import StepPoint  # noqa: E402
from engine.runs import checkpoints  # noqa: E402
from engine.workers.gate import Gate  # noqa: E402
from engine.workers.training import room  # noqa: E402
from engine.workers.training.base import Base  # noqa: E402
from engine.workers.training.batches import Feed, order, padded, pieces  # noqa: E402
from engine.workers.training.labels import IGNORED, Example  # noqa: E402
from engine.workers.training.optimiser import adamw  # noqa: E402
from engine.workers.training.run import Run  # noqa: E402
from engine.workers.training.schedule import rate_at  # noqa: E402
from engine.workers.training.student import Student  # noqa: E402
from tests.support.tiny_run import RecordedRun, TinyRuns, adapter_bytes  # noqa: E402

pytestmark = pytest.mark.engine
PLAIN = {"steps": 4, "accumulate": 1, "eval_every": 2}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> TinyRuns:
    return TinyRuns.fresh(tmp_path_factory.mktemp("loop"))


@pytest.fixture(scope="module")
def plain(runs: TinyRuns, tmp_path_factory: pytest.TempPathFactory) -> tuple[RecordedRun, Path]:
    folder, sink = tmp_path_factory.mktemp("plain"), RecordedRun()
    runs.train(folder, sink, **PLAIN)
    return sink, folder


@pytest.mark.parametrize(
    ("schedule", "middle", "end"), [("cosine", 0.55, 0.1), ("linear", 0.55, 0.1), ("constant", 1.0, 1.0)]
)
def test_the_rate_rises_and_then_falls_as_it_is_asked_to(schedule: str, middle: float, end: float) -> None:
    rates = [rate_at(step, 110, 2.0, 10 / 110, schedule) for step in range(1, 111)]
    assert rates[0] == pytest.approx(0.2)
    assert rates[9] == pytest.approx(2.0)
    assert rates[59] == pytest.approx(2.0 * middle)
    assert rates[109] == pytest.approx(2.0 * end)
    assert all(later <= earlier for earlier, later in zip(rates[9:], rates[10:], strict=False))
    assert rate_at(1, 110, 2.0, 0.0, schedule) <= 2.0


def test_every_example_comes_once_an_epoch_and_the_place_can_be_taken_up() -> None:
    examples = [Example([1] * (1 + place % 7), [1] * (1 + place % 7)) for place in range(45)]
    feed = Feed(examples, 4, seed=3)
    first = [feed.take() for _ in range(12)]
    assert feed.epochs == 1.0
    assert Counter(id(each) for batch in first for each in batch) == Counter(map(id, examples))
    for _ in range(5):
        feed.take()
    again = Feed(examples, 4, 3, feed.epoch, feed.place, feed.seen)
    assert again.epochs == feed.epochs == 1 + 20 / 45
    assert [again.take() for _ in range(20)] == [feed.take() for _ in range(20)]
    assert order([1] * 45, 4, 3, 0) != order([1] * 45, 4, 3, 1) != order([1] * 45, 4, 4, 1)
    assert [len(part) for part in pieces(examples[:5], 2)] == [2, 2, 1]


def test_padding_is_known_by_length_and_a_stop_token_stays_labelled() -> None:
    """T3: the id that pads is also one that is learnt."""
    long, short = Example([5, 0, 7, 0], [IGNORED, 0, 7, 0]), Example([0, 0], [IGNORED, 0])
    ids, labels = padded([long, short])
    assert labels.tolist() == [[IGNORED, 0, 7, 0], [IGNORED, 0, IGNORED, IGNORED]]
    assert ids[1].tolist() == [0, 0, 0, 0]


def test_a_run_ends_early_with_the_best_weights(runs: TinyRuns, tmp_path: Path) -> None:
    """The rate is far too high, so that evaluations grow worse."""
    sink = RecordedRun()
    outcome = runs.train(
        tmp_path, sink, steps=30, rate=0.5, warmup=0.0, early_stop=2, eval_every=2, accumulate=1
    )
    assert outcome.step < 30
    evals = {step: loss for step, loss in sink.evals.items() if step}
    assert outcome.best_step == min(evals, key=lambda step: evals[step])
    assert outcome.best_eval == evals[outcome.best_step]
    assert outcome.step == outcome.best_step + 4
    best = checkpoints.adapter_folder(tmp_path, outcome.best_step)
    assert (
        adapter_bytes(tmp_path)["adapter_model.safetensors"]
        == (best / "adapter_model.safetensors").read_bytes()
    )


@pytest.mark.parametrize("mode", ["hold", "yield"])
def test_a_pause_changes_nothing(
    runs: TinyRuns, plain: tuple[RecordedRun, Path], tmp_path: Path, mode: str
) -> None:
    paused = threading.Event()

    class Pausing(RecordedRun):
        def phase(self, phase, step=0):  # type: ignore[no-untyped-def]
            if phase == "paused":
                assert step == 2
                paused.set()
            return super().phase(phase, step)

    def pause(sink: RecordedRun, point: StepPoint) -> None:
        if point.step == 2 and point.loss is not None:
            sink.pause_mode = mode  # type: ignore[assignment]
            sink.pausing.set()

    sink = Pausing(pause)

    def go_on() -> None:
        paused.wait(60)
        sink.pausing.clear()

    threading.Thread(target=go_on).start()
    runs.train(tmp_path, sink, **PLAIN)
    assert paused.is_set()
    assert sink.losses == plain[0].losses
    assert adapter_bytes(tmp_path) == adapter_bytes(plain[1])


def test_a_parked_run_leaves_a_checkpoint_and_goes_on_from_it(
    runs: TinyRuns, plain: tuple[RecordedRun, Path], tmp_path: Path
) -> None:
    def park(sink: RecordedRun, point: StepPoint) -> None:
        if point.step == 3:
            sink.pause_mode = "park"
            sink.pausing.set()

    first, second = RecordedRun(park), RecordedRun()
    outcome = runs.train(tmp_path, first, **PLAIN)
    assert (outcome.parked, outcome.step, first.phases[-1]) == (True, 3, "paused")
    newest, _ = checkpoints.newest(tmp_path)
    assert not runs.train(tmp_path, second, newest, **PLAIN).parked
    assert first.losses | second.losses == plain[0].losses
    assert adapter_bytes(tmp_path) == adapter_bytes(plain[1])


def test_numbers_that_are_none_are_shown_and_end_the_run(
    runs: TinyRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T9: in the log, with the last good checkpoint named; no broken weights are kept."""
    real = torch.nn.utils.clip_grad_norm_
    calls = []

    def poisoned(weights, limit, **named):  # type: ignore[no-untyped-def]
        calls.append(limit)
        if len(calls) == 4:
            weights[0].grad[0] = float("inf")
        return real(weights, limit, **named)

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", poisoned)
    sink = RecordedRun()
    with pytest.raises(EngineError) as caught:
        runs.train(tmp_path, sink, **PLAIN)
    assert caught.value.info.code == "run_diverged"
    assert "checkpoint of step 2 is kept" in caught.value.info.detail
    assert "gradient norm inf" in sink.points[-1].wrong
    assert (sink.points[-1].step, sink.points[-1].loss) == (4, None)
    newest, _ = checkpoints.newest(tmp_path)
    assert newest is not None
    assert newest.name == "step-000002"


def test_runs_take_turns_on_one_thread_and_do_not_disturb_each_other(
    runs: TinyRuns, plain: tuple[RecordedRun, Path], tmp_path: Path
) -> None:
    base = Base.of(runs.backend._models["tiny"])
    sinks = [RecordedRun(), RecordedRun()]
    pair = [
        Run(runs.job(tmp_path / str(place), **PLAIN, seed=seed), base, sink, Gate())
        for place, (sink, seed) in enumerate(zip(sinks, (5, 6), strict=True))
    ]
    for run in pair:
        run.begin()
    while not all([run.advance(1) for run in pair]):
        pass
    outcomes = [run.finish(save=True) for run in pair]
    assert [outcome.step for outcome in outcomes] == [4, 4]
    assert sinks[0].losses == plain[0].losses
    assert sinks[1].losses != plain[0].losses
    assert adapter_bytes(tmp_path / "0") == adapter_bytes(plain[1])


def test_a_run_waits_at_its_next_part_while_a_reply_is_generated(
    runs: TinyRuns, plain: tuple[RecordedRun, Path], tmp_path: Path
) -> None:
    """T23: and computes the same as if nobody had chatted."""
    arrived, told = threading.Event(), []

    class Watched(Gate):
        def wait(self, stopped: threading.Event) -> float:
            if not self._free.is_set():
                arrived.set()
            return super().wait(stopped)

    gate = Watched()
    chat = gate.chatting()

    def reply(sink: RecordedRun, point: StepPoint) -> None:
        told.append(point.step)
        if point.step == 1 and point.loss is not None:
            chat.__enter__()
            threading.Thread(target=end).start()

    def end() -> None:
        arrived.wait(60)
        told.append(-1)
        chat.__exit__(None, None, None)

    sink = RecordedRun(reply)
    Run(runs.job(tmp_path, **PLAIN), Base.of(runs.backend._models["tiny"]), sink, gate).run(threading.Event())
    assert told[told.index(1) + 1] == -1
    assert sink.losses == plain[0].losses


def test_a_full_log_is_waited_for(
    runs: TinyRuns, plain: tuple[RecordedRun, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.protocol.errors import fault

    monkeypatch.setattr(room, "RETRY_SECONDS", 0.01)
    refused = []

    class Full(RecordedRun):
        def point(self, point: StepPoint) -> None:
            if point.step == 2 and len(refused) < 3:
                refused.append(point)
                raise fault("disk_full", "The disk is full", retryable=True)
            super().point(point)

    sink = Full()
    runs.train(tmp_path, sink, **PLAIN)
    assert len(refused) == 3
    assert sink.losses == plain[0].losses


def test_a_step_on_an_own_optimiser_is_the_textbook_one(runs: TinyRuns, tmp_path: Path) -> None:
    """AdamW without foreach: decay, then the moments' step."""
    job = runs.job(tmp_path, weight_decay=0.1)
    student = Student(Base.of(runs.backend._models["tiny"]), job.spec)
    optimiser = adamw(student, job.spec)
    assert (optimiser.defaults["foreach"], optimiser.defaults["fused"]) == (False, False)
    weight = next(iter(student.weights().values()))
    before = weight.detach().clone()
    weight.grad = torch.ones_like(weight)
    optimiser.step()
    torch.testing.assert_close(weight.detach(), before * (1 - 1e-2 * 0.1) - 1e-2)
