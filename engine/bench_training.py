"""Measures LoRA steps of ours beside TRL's, each side in processes of its own that take turns."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Literal

import msgspec

from engine.benching import answers
from engine.models.describe import describe
from engine.models.discover import demo_path
from engine.protocol.errors import ErrorInfo
from engine.protocol.specs import ModelInfo

Side = Literal["ours", "trl"]
SIDES: tuple[Side, ...] = ("ours", "trl")
WARM = 2
"""Steps of a turn that are not timed: allocators fill and kernels are chosen in them."""
_ROOT = Path(__file__).resolve().parents[1]
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


class TrainJob(msgspec.Struct, frozen=True):
    """What both sides do."""

    model: ModelInfo | None = None
    """None: a random Qwen3 of 98 million parameters with the full vocabulary of 151,936."""
    steps: int = 20
    batch: int = 2
    length: int = 1024
    """Tokens of each row."""
    dtype: str = "float32"
    checkpointing: bool = False
    rounds: int = 2
    """Turns of each side."""
    rank: int = 16
    targets: str = "attention"
    labelled: float = 0.31
    """Share of a row's tokens that carry loss."""
    rate: float = 2e-4


class SideJob(msgspec.Struct, frozen=True):
    """One turn of one side, as its process reads it."""

    side: Side
    job: TrainJob
    folder: str
    """Where the rows and the adapter's first weights lie, which the first turn of ours writes."""
    build: bool = False
    """Only write the random model into `folder`."""


class Turn(msgspec.Struct, frozen=True):
    """What one turn found."""

    seconds: list[float]
    """From the end of a step to the end of the next, the whole loop included."""
    losses: list[float]
    rates: list[float]
    peak: int
    """Bytes resident of the process at its highest, VmHWM."""
    imported: int
    """Bytes resident once everything was imported."""
    loaded: int
    """And once the model was loaded."""
    threads: int
    dtype: str
    versions: dict[str, str]


class SideLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a side's process writes: one a line."""

    told: str = ""
    turn: Turn | None = None
    error: ErrorInfo | None = None


class SideFigures(msgspec.Struct, frozen=True):
    """Of one side, over its turns."""

    step_s: float
    """Median over its turns of the median step."""
    step_s_turns: list[float]
    peak_bytes: int
    """Median over its turns of the whole process at its highest."""
    peak_bytes_turns: list[int]
    imported_bytes: int
    loaded_bytes: int
    dtype: str
    threads: int
    checkpointing: bool
    losses: list[float]
    versions: dict[str, str]


class TrainBench(msgspec.Struct, frozen=True):
    """Ours beside TRL: the same weights, token ids, labels, rates and adapter at the start."""

    model: str
    parameters: int
    batch: int
    length: int
    steps: int
    labelled: float
    dtype: str
    checkpointing: bool
    rounds: int
    time_ratio: float
    """Ours divided by TRL's, as `memory_ratio`: of the median step and of the process's peak."""
    memory_ratio: float
    max_loss_diff: float
    """Nats a labelled token, over the first 20 steps at most."""
    ours: SideFigures
    trl: SideFigures


def bench_train(job: TrainJob, told: Callable[[str], None]) -> TrainBench:
    """Measure in turns: ours, theirs, ours, theirs. Takes minutes.

    Raises EngineError: `trl_missing`, what a side raises, and `bench_failed` where its process died.
    """
    with tempfile.TemporaryDirectory(prefix="qwill-bench-") as scratch:
        job = msgspec.structs.replace(job, model=_model(job, Path(scratch), told))
        turns: dict[Side, list[Turn]] = {"ours": [], "trl": []}
        for place in range(job.rounds):
            for side in SIDES:
                name = f"turn {place + 1} of {job.rounds}, {'Qwill' if side == 'ours' else 'TRL'}"
                turns[side].append(_turn(SideJob(side, job, scratch), name, told))
        return _found(job, turns["ours"], turns["trl"])


def _model(job: TrainJob, scratch: Path, told: Callable[[str], None]) -> ModelInfo:
    """The model, with the demo's tokenizer where it has none: the texts are only there to be learnt."""
    if job.model is None:
        _turn(SideJob("ours", job, str(scratch), build=True), "building the model", told)
        folder = scratch / "model"
    else:
        folder = Path(job.model.path)
    if (folder / "tokenizer.json").exists():
        return job.model or describe(folder, "bench", "Qwen3 98M, random", "folder")
    lent = scratch / "lent"
    lent.mkdir()
    for file in [*folder.iterdir(), *(demo_path() / name for name in _TOKENIZER)]:
        if not (lent / file.name).exists():
            (lent / file.name).symlink_to(file)
    name = job.model.name if job.model else "Qwen3 98M, random"
    return describe(lent, "bench", name, "folder")


def _turn(job: SideJob, name: str, told: Callable[[str], None]) -> Turn:
    on_cpu = {"CUDA_VISIBLE_DEVICES": "", "TOKENIZERS_PARALLELISM": "false"}
    with closing(answers("engine.workers.bench.train", job, SideLine, **on_cpu)) as lines:
        for said in lines:
            if said.turn is not None:
                return said.turn
            told(f"{name}: {said.told}")
    raise AssertionError


def _found(job: TrainJob, ours: list[Turn], trl: list[Turn]) -> TrainBench:
    mine, theirs = _figures(job, ours), _figures(job, trl)
    assert job.model is not None
    pairs = zip(mine.losses[:20], theirs.losses[:20], strict=True)
    return TrainBench(
        model=job.model.name,
        parameters=job.model.parameters,
        batch=job.batch,
        length=job.length,
        steps=job.steps,
        labelled=job.labelled,
        dtype=job.dtype,
        checkpointing=job.checkpointing,
        rounds=job.rounds,
        time_ratio=mine.step_s / theirs.step_s,
        memory_ratio=mine.peak_bytes / theirs.peak_bytes,
        max_loss_diff=max(abs(one - other) for one, other in pairs),
        ours=mine,
        trl=theirs,
    )


def _figures(job: TrainJob, turns: list[Turn]) -> SideFigures:
    steps = [statistics.median(turn.seconds[WARM:] or turn.seconds) for turn in turns]
    peaks = [turn.peak for turn in turns]
    first = turns[0]
    return SideFigures(
        step_s=statistics.median(steps),
        step_s_turns=steps,
        peak_bytes=round(statistics.median(peaks)),
        peak_bytes_turns=peaks,
        imported_bytes=first.imported,
        loaded_bytes=first.loaded,
        dtype=first.dtype,
        threads=first.threads,
        checkpointing=job.checkpointing,
        losses=first.losses,
        versions=first.versions,
    )
