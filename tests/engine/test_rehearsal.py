"""The estimate of a run, the rehearsal that tries it, and what both say when it does not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from msgspec.structs import replace  # noqa: E402

from engine.models.fit_log import outcomes  # noqa: E402
from engine.models.machine import MachineFacts  # noqa: E402
from engine.protocol.errors import EngineError  # noqa: E402
from engine.protocol.training import TrainSpec  # noqa: E402
from engine.workers.training import fitting, rehearsal  # noqa: E402
from engine.workers.training.estimate import (  # noqa: E402
    Shape,
    evaluation,
    need,
    parts,
    recomputed_layers,
)
from engine.workers.training.fitting import changes  # noqa: E402
from engine.workers.training.rehearsal import Rehearsal, Rehearsed  # noqa: E402
from engine.workers.training.run import Run  # noqa: E402
from engine.workers.training.supervised import Supervised  # noqa: E402
from tests.support.tiny import tiny_model  # noqa: E402
from tests.support.tiny_run import RecordedRun, TinyRuns, adapter_bytes  # noqa: E402

pytestmark = pytest.mark.engine
GIB = 1 << 30
SPEC = TrainSpec("m", "d", batch=4, accumulate=2, rank=16, targets="attention")
SHAPE = Shape(
    hidden=1024,
    layers=28,
    query=2048,
    key=1024,
    wide=3072,
    vocabulary=151_936,
    width=2,
    adapter=5 << 20,
    base=1200 << 20,
    shared=1200 << 20,
    longest=1024,
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyRuns:
    folder = tmp_path_factory.mktemp("tiny")
    tiny_model(folder / "model")
    return TinyRuns(folder / "model", folder / "rows.jsonl")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with 2 MiB left, nothing kept free."""
    few = MachineFacts("RAM", 2 << 20, GIB)
    monkeypatch.setattr(rehearsal, "pool", lambda *_: few)
    monkeypatch.setattr(fitting, "pool", lambda *_: few)


def rehearsals(monkeypatch: pytest.MonkeyPatch) -> list[Rehearsed]:
    """What the rehearsals of coming runs find."""
    found: list[Rehearsed] = []
    hold = Rehearsal.hold

    def noted(self: Rehearsal, lesson: Any) -> Rehearsed:
        drawn = torch.random.get_rng_state()
        found.append(hold(self, lesson))
        assert torch.equal(torch.random.get_rng_state(), drawn)
        assert all(weight.grad is None for weight in self._student.weights().values())
        return found[-1]

    monkeypatch.setattr(Rehearsal, "hold", noted)
    return found


def test_every_part_grows_with_what_it_depends_on() -> None:
    before = parts(SHAPE, SPEC)
    assert parts(SHAPE, replace(SPEC, batch=8))["activations"] == 2 * before["activations"]
    assert parts(replace(SHAPE, longest=2048), SPEC)["activations"] == 2 * before["activations"]
    assert parts(SHAPE, replace(SPEC, targets="attention+mlp"))["activations"] > before["activations"]
    assert parts(SHAPE, replace(SPEC, objective="dpo"))["activations"] == 2 * before["activations"]
    assert parts(replace(SHAPE, adapter=2 * SHAPE.adapter), SPEC)["optimiser"] == 2 * before["optimiser"]
    assert parts(replace(SHAPE, width=4), SPEC)["activations"] > before["activations"]
    assert sum(before.values()) - SHAPE.shared == need(SHAPE, SPEC)


def test_a_long_evaluation_is_part_of_the_need() -> None:
    """T15: held-out rows may be longer than those that are learnt from."""
    long = replace(SHAPE, longest=16, longest_eval=65_536)
    assert need(long, SPEC) == evaluation(long, SPEC) > need(replace(SHAPE, longest=16), SPEC)


def test_as_few_layers_are_computed_again_as_it_takes() -> None:
    most, least = need(SHAPE, SPEC), need(SHAPE, SPEC, SHAPE.layers)
    assert recomputed_layers(SHAPE, SPEC, most) == 0
    middle = recomputed_layers(SHAPE, SPEC, (most + least) / 2)
    assert 0 < middle < SHAPE.layers
    assert need(SHAPE, SPEC, middle) <= (most + least) / 2 < need(SHAPE, SPEC, middle - 1)
    assert recomputed_layers(SHAPE, SPEC, 0) == SHAPE.layers
    assert recomputed_layers(SHAPE, replace(SPEC, checkpointing="off"), 0) == 0
    assert recomputed_layers(SHAPE, replace(SPEC, checkpointing="on"), most) == SHAPE.layers


def test_three_changes_are_told_with_their_cost() -> None:
    told = changes(SHAPE, SPEC, need(SHAPE, SPEC) * 0.7)
    assert len(told) == 3
    assert told[0].changes == {"batch": 2, "accumulate": 4}
    assert "batch 2 × 4 instead of 4 × 2" in told[0].title
    assert "less, the same result" in told[0].title
    assert all(change.need < need(SHAPE, SPEC) for change in told)
    assert all(set(change.changes) <= set(TrainSpec.__struct_fields__) for change in told)
    # A step learns from as many rows as before.
    for change in told[:2]:
        asked = replace(SPEC, **change.changes)
        assert asked.batch * asked.accumulate == SPEC.batch * SPEC.accumulate


Batches = list[tuple[str, list[int]]]
"""The phase of each batch that is computed, and the length of each of its rows."""


def batches_seen(monkeypatch: pytest.MonkeyPatch, sink: RecordedRun) -> Batches:
    seen: Batches = []
    summed = Supervised.summed

    def noted(self: Supervised, student: Any, batch: Any) -> Any:
        seen.append((sink.phases[-1], [example.longest for example in batch]))
        return summed(self, student, batch)

    monkeypatch.setattr(Supervised, "summed", noted)
    return seen


def test_a_run_rehearses_its_longest_rows_first(
    tiny: TinyRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T16: in one whole batch, before the first step."""
    sink = RecordedRun()
    seen = batches_seen(monkeypatch, sink)
    run = Run(tiny.job(tmp_path, steps=1), _base(tiny), sink, tiny.backend._gate)
    run.begin()
    phase, lengths = seen[0]
    assert phase == "rehearsal"
    assert sorted(lengths) == sorted(run._feed._lengths)[-2:]
    run.finish(save=False)


def test_the_longest_rows_of_an_evaluation_are_rehearsed_too(
    tiny: TinyRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T15: and no batch of an evaluation has more rows in it than one of training."""
    said = ("short", "short too", "long " * 30, "shorter", "brief")
    rows = [{"prompt": f"Say {place}", "completion": text} for place, text in enumerate(said)]
    (tmp_path / "held.jsonl").write_text("\n".join(map(json.dumps, rows)))
    sink = RecordedRun()
    seen = batches_seen(monkeypatch, sink)
    job = tiny.job(tmp_path, steps=1, eval_data=str(tmp_path / "held.jsonl"))
    run = Run(job, _base(tiny), sink, tiny.backend._gate)
    run.begin()
    longest = max(example.longest for example in run._held)
    assert longest > max(run._feed._lengths)
    assert [phase for phase, lengths in seen if longest in lengths] == ["rehearsal", "eval"]
    assert [len(lengths) for phase, lengths in seen if phase == "eval"] == [2, 2, 1]
    run.finish(save=False)


def test_a_rehearsal_changes_no_bit_of_the_run(
    tiny: TinyRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = rehearsals(monkeypatch)
    with_one, without = RecordedRun(), RecordedRun()
    tiny.train(tmp_path / "with", with_one, steps=4)
    monkeypatch.setattr(Run, "_rehearse", lambda *_: None)
    tiny.train(tmp_path / "without", without, steps=4)
    assert len(found) == 1
    assert with_one.losses == without.losses
    assert with_one.evals == without.evals
    weights = "adapter_model.safetensors"
    assert adapter_bytes(tmp_path / "with")[weights] == adapter_bytes(tmp_path / "without")[weights]


def test_layers_computed_again_give_the_same_run(
    tiny: TinyRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropout included: its masks are derived from where the run is."""
    found = rehearsals(monkeypatch)
    on, off = RecordedRun(), RecordedRun()
    tiny.train(tmp_path / "on", on, steps=4, checkpointing="on")
    tiny.train(tmp_path / "off", off, steps=4, checkpointing="off")
    assert [each.recomputed for each in found] == [3, 0]
    assert on.losses == off.losses
    weights = "adapter_model.safetensors"
    assert adapter_bytes(tmp_path / "on")[weights] == adapter_bytes(tmp_path / "off")[weights]


@pytest.mark.usefixtures("small")
def test_a_run_that_does_not_fit_ends_before_its_first_step(tiny: TinyRuns, tmp_path: Path) -> None:
    sink = RecordedRun()
    with pytest.raises(EngineError) as caught:
        tiny.train(tmp_path, sink, steps=4)
    info = caught.value.info
    assert info.code == "run_too_large"
    assert info.detail == "2 MiB are free"
    assert info.remedy.startswith("Change one of: ")
    assert sink.losses == {}
    assert sink.phases[-1] == "rehearsal"


def test_memory_that_runs_out_while_rehearsing_is_told_with_changes(
    tiny: TinyRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First all layers are computed again; only when that is not enough, the run ends."""
    tried: list[int] = []
    step = Rehearsal._step

    def short(self: Rehearsal, lesson: Any) -> Any:
        tried.append(sum("forward" in vars(layer) for layer in self._layers))
        if len(tried) < 2:
            raise MemoryError("not enough memory")
        return step(self, lesson)

    monkeypatch.setattr(Rehearsal, "_step", short)
    sink = RecordedRun()
    tiny.train(tmp_path / "auto", sink, steps=1)
    assert tried == [0, 3]
    assert list(sink.losses) == [1]
    tried.clear()
    with pytest.raises(EngineError) as caught:
        tiny.train(tmp_path / "off", RecordedRun(), steps=1, checkpointing="off")
    assert caught.value.info.code == "run_too_large"
    assert "checkpointing on" in caught.value.info.remedy


def test_a_cpu_without_memory_gives_up_inside_the_rehearsal(
    tiny: TinyRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel would end the engine without a word."""
    monkeypatch.setattr(rehearsal, "FLOOR", 1 << 62)
    with pytest.raises(EngineError) as caught:
        tiny.train(tmp_path, steps=1)
    assert caught.value.info.code == "run_too_large"


def test_predicted_and_measured_are_kept_and_taught(
    tiny: TinyRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "TEACHES", 0)
    found = rehearsals(monkeypatch)
    outcome = tiny.train(tmp_path, steps=1)
    kept = [each for each in outcomes() if each.what == fitting.RUN]
    assert (kept[-1].predicted, kept[-1].measured) == (found[0].predicted, found[0].measured)
    assert outcome.measured == found[0].measured
    assert kept[-1].predicted > 0
    for _ in range(3):
        fitting.remember(MachineFacts("RAM", 1, 1), "m", "lora", 100 << 20, 150 << 20)
    assert fitting.rules(MachineFacts("RAM", 1, 1))[1].factor == pytest.approx(1.5)


def test_an_estimate_says_what_does_not_fit_and_what_would(
    tiny: TinyRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = tiny.job(Path("unused")).spec
    found = tiny.backend.trainer.estimate(spec, tiny.info, str(tiny.data))
    assert found.fits
    assert found.need == sum(found.parts.values()) - found.shared
    assert found.layers == 3
    assert 0 < found.eval_need <= found.need
    few = MachineFacts("RAM", 1 << 20, GIB)
    monkeypatch.setattr(fitting, "pool", lambda *_: few)
    tight = tiny.backend.trainer.estimate(spec, tiny.info, str(tiny.data))
    assert not tight.fits
    assert tight.recomputed == 3
    assert 1 <= len(tight.changes) <= 3


def test_packing_is_refused_by_the_estimate_of_a_hybrid(tmp_path: Path) -> None:
    tiny_model(tmp_path / "model", "qwen3_5_text")
    runs = TinyRuns(tmp_path / "model", tmp_path / "rows.jsonl")
    job = runs.job(tmp_path / "run", packing=True)
    with pytest.raises(EngineError) as caught:
        runs.backend.trainer.estimate(job.spec, runs.info, job.data)
    assert caught.value.info.code == "packing_refused"
    with pytest.raises(EngineError) as caught:
        runs.train(tmp_path / "run", packing=True)
    assert caught.value.info.code == "packing_refused"


def test_a_packed_run_learns(tiny: TinyRuns, tmp_path: Path) -> None:
    sink = RecordedRun()
    tiny.train(tmp_path, sink, packing=True, steps=6, dropout=0.0, batch=1, accumulate=1, rate=5e-2)
    assert sink.losses[6] < sink.losses[1]
    assert json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["r"] == 4


def _base(tiny: TinyRuns) -> Any:
    from engine.workers.training.base import Base

    return Base.of(tiny.backend._models["tiny"])
