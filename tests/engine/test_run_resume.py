"""A run that goes on from a checkpoint is the run that was never stopped, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402

from engine.data.smaller import smaller  # noqa: E402
from engine.protocol.errors import EngineError  # noqa: E402
from engine.protocol.runs import StepPoint  # noqa: E402
from engine.runs import checkpoints  # noqa: E402
from engine.workers.training import machine  # noqa: E402
from engine.workers.training.base import Base  # noqa: E402
from engine.workers.training.course import Course  # noqa: E402
from engine.workers.training.keeper import Keeper  # noqa: E402
from engine.workers.training.lesson import step_count  # noqa: E402
from engine.workers.training.optimiser import adamw, moments, restore  # noqa: E402
from engine.workers.training.student import Student  # noqa: E402
from tests.support.tiny_run import RecordedRun, TinyRuns, adapter_bytes  # noqa: E402

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> TinyRuns:
    return TinyRuns.fresh(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def whole(runs: TinyRuns, tmp_path_factory: pytest.TempPathFactory) -> tuple[RecordedRun, Path]:
    """The run that nobody touches."""
    folder, sink = tmp_path_factory.mktemp("whole"), RecordedRun()
    runs.train(folder, sink)
    return sink, folder


def stopping_at(step: int) -> RecordedRun:
    def stop(sink: RecordedRun, point: StepPoint) -> None:
        if point.step == step:
            sink.stopped.set()

    return RecordedRun(stop)


def state_of(folder: Path, step: int) -> Path:
    return checkpoints.place(folder) / checkpoints.name(step)


@pytest.mark.parametrize("step", [4, 9])
def test_stopped_and_resumed_is_never_stopped(
    runs: TinyRuns, whole: tuple[RecordedRun, Path], tmp_path: Path, step: int
) -> None:
    reference, folder = whole
    first, second = stopping_at(step), RecordedRun()
    assert runs.train(tmp_path, first).step == step
    newest, skipped = checkpoints.newest(tmp_path)
    assert (newest, skipped) == (state_of(tmp_path, step), [])
    outcome = runs.train(tmp_path, second, newest)
    assert outcome.step == 12
    assert first.losses | second.losses == reference.losses
    assert min(second.losses) == step + 1
    assert first.evals | second.evals == reference.evals
    assert adapter_bytes(tmp_path) == adapter_bytes(folder)
    assert second.findings == []


def test_the_curve_counts_epochs_and_rates(whole: tuple[RecordedRun, Path]) -> None:
    points = [point for point in whole[0].points if point.loss is not None]
    assert [point.step for point in points] == list(range(1, 13))
    assert points[0].epoch == pytest.approx(8 / 18)
    assert points[-1].epoch == pytest.approx(12 * 4 / 9)  # nine batches an epoch
    assert points[0].rate == pytest.approx(1e-2)
    assert points[-1].rate == pytest.approx(1e-3)


def test_the_last_two_checkpoints_and_the_best_stay(whole: tuple[RecordedRun, Path]) -> None:
    sink, folder = whole
    assert set(sink.checkpoints) == {3, 6, 9, 12}
    best = min((loss, step) for step, loss in sink.evals.items() if step)[1]
    left = {entry.step for entry in checkpoints.listing(folder, whole=True)}
    assert left == {9, 12, best}
    assert all(entry.why == "" and entry.adapter for entry in checkpoints.listing(folder, whole=True))
    assert checkpoints.leftovers(folder) == []


def test_a_checkpoints_adapter_is_one_that_peft_loads(
    runs: TinyRuns, whole: tuple[RecordedRun, Path]
) -> None:
    from peft import PeftConfig

    folder = checkpoints.adapter_folder(whole[1], 12)
    assert PeftConfig.from_pretrained(str(folder)).r == 4
    assert load_file(folder / "adapter_model.safetensors").keys()


def test_what_a_checkpoint_holds_is_what_learns_and_stays_so(
    runs: TinyRuns, whole: tuple[RecordedRun, Path]
) -> None:
    """Dtype, device, shape and value of weights and moments, and that they still learn."""
    folder = state_of(whole[1], 12)
    job = runs.job(whole[1])
    student = Student(Base.of(runs.backend._models["tiny"]), job.spec)
    optimiser = adamw(student, job.spec)
    weights, saved = load_file(folder / "weights.safetensors"), load_file(folder / "optimiser.safetensors")
    student.load(weights)
    restore(optimiser, student.weights(), saved)
    assert {name: (t.dtype, t.shape) for name, t in moments(optimiser, student.weights()).items()} == {
        name: (t.dtype, t.shape) for name, t in saved.items()
    }
    assert len(saved) == 3 * len(student.weights())
    assert all(
        weight.requires_grad and weight.device == student.device for weight in student.weights().values()
    )
    assert all(torch.equal(weight, weights[name]) for name, weight in student.weights().items())
    name = next(iter(weights))
    with pytest.raises(EngineError, match="does not fit"):
        student.load({key: value for key, value in weights.items() if key != name})
    with pytest.raises(EngineError, match="does not fit"):
        restore(optimiser, student.weights(), {f"{name}|exp_avg": saved[f"{name}|exp_avg"]})
    with pytest.raises(EngineError, match="does not fit"):
        restore(optimiser, student.weights(), {"other|step": torch.tensor(1.0)})


def test_other_conditions_are_said_and_the_run_goes_on(
    runs: TinyRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.train(tmp_path, stopping_at(3))
    monkeypatch.setattr(machine, "isa", lambda: "ABACUS")
    sink = RecordedRun()
    assert runs.train(tmp_path, sink, state_of(tmp_path, 3), steps=4).step == 4
    [finding] = sink.findings
    assert (finding.code, finding.step) == ("inexact_resume", 3)
    assert "now ABACUS" in finding.title


def test_a_smaller_batch_learns_from_the_same_rows(
    runs: TinyRuns, whole: tuple[RecordedRun, Path], tmp_path: Path
) -> None:
    """After memory ran out: the steps see what they would have seen, in smaller parts."""
    changes = {"dropout": 0.0, "steps": 6}
    reference, sink = RecordedRun(), RecordedRun()
    runs.train(tmp_path / "a", reference, **changes)
    runs.train(tmp_path / "b", stopping_at(3), **changes)
    less = smaller(runs.job(tmp_path).spec)
    assert less is not None
    assert (less.batch, less.accumulate) == (1, 8)
    halved = {**changes, "batch": less.batch, "accumulate": less.accumulate}
    runs.train(tmp_path / "b", sink, state_of(tmp_path / "b", 3), **halved)
    assert [(p.step, p.tokens, p.epoch) for p in sink.points if p.loss is not None] == [
        (p.step, p.tokens, p.epoch) for p in reference.points if p.loss is not None and p.step > 3
    ]
    for step, loss in sink.losses.items():
        assert loss == pytest.approx(reference.losses[step], rel=1e-3)
    assert "in parts of 1 now" in sink.findings[0].title


def test_a_smaller_batch_changes_no_number_of_steps(runs: TinyRuns, tmp_path: Path) -> None:
    """Nine rows are two batches of eight an epoch, and three of four: three epochs stay six steps."""
    job = runs.job(tmp_path, steps=0, epochs=3.0, batch=4, accumulate=2)
    course = Course(6, 8, 1, examples=9, seed=0, rate=1e-3, schedule="cosine", warmup=0.0, step=2)
    unused: Any = None
    keeper = Keeper(job, RecordedRun(), unused, unused)
    assert step_count(job.spec, 9) == 5
    fitted = keeper.fit(course, 5, 9)
    assert (fitted.steps, fitted.unit, fitted.units) == (6, 8, 1)


def test_batches_shrink_to_single_rows_and_then_layers_are_computed_again(
    runs: TinyRuns, tmp_path: Path
) -> None:
    spec = runs.job(tmp_path, batch=6, accumulate=2).spec
    seen = []
    while spec is not None:
        seen.append((spec.batch, spec.accumulate, spec.checkpointing))
        spec = smaller(spec)
    assert seen == [(6, 2, "auto"), (3, 4, "auto"), (1, 12, "auto"), (1, 12, "on")]


@pytest.mark.parametrize(
    "way",
    [
        {"method": "pissa", "dropout": 0.0},
        {"method": "pissa", "quant": "nf4", "dropout": 0.0},
        {"method": "olora"},
        {"method": "eva"},
        {"method": "full", "dropout": 0.0, "rate": 1e-3},
    ],
    ids=["pissa", "qpissa", "olora", "eva", "full"],
)
def test_every_method_resumes_to_the_bit(runs: TinyRuns, tmp_path: Path, way: dict[str, Any]) -> None:
    """What a method takes out of the base, or starts from, is there again after a resume."""
    if "quant" in way:
        pytest.importorskip("bitsandbytes")
    short = {"steps": 4, "eval_every": 2, "accumulate": 1, **way}
    whole, first, second = RecordedRun(), stopping_at(2), RecordedRun()
    runs.train(tmp_path / "whole", whole, **short)
    runs.train(tmp_path / "cut", first, **short)
    newest, _ = checkpoints.newest(tmp_path / "cut")
    runs.train(tmp_path / "cut", second, newest, **short)
    assert first.losses | second.losses == whole.losses
    assert min(second.losses) == 3
    mended, untouched = (load_file(newest_weights(tmp_path / place)) for place in ("cut", "whole"))
    assert mended.keys() == untouched.keys()
    assert all(torch.equal(tensor, untouched[name]) for name, tensor in mended.items())
    assert second.findings == []


def newest_weights(run: Path) -> Path:
    """Of the newest checkpoint: what a run learns, whatever the adapter is made of."""
    newest, _ = checkpoints.newest(run)
    assert newest is not None
    return newest / "weights.safetensors"
