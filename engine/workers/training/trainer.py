"""The training thread's door: estimates and runs, on the weights that the model thread loaded."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from engine.chat.template import ChatTemplate
from engine.data.smaller import smaller
from engine.protocol.errors import EngineError, fault
from engine.protocol.runs import Estimate, TrainSpec
from engine.protocol.specs import ModelInfo
from engine.training import RunJob, RunOutcome, RunSink
from engine.workers.device import (
    give_back_memory,
    is_out_of_memory,
    out_of_memory,
    pick_dtype,
    use_threads,
)
from engine.workers.folder import checked_config
from engine.workers.gate import Gate
from engine.workers.load import build_config
from engine.workers.loaded import LoadedModel
from engine.workers.training import estimate as fit
from engine.workers.training.base import Base, SharedBases, labeller, own_bytes, shares_weights
from engine.workers.training.whereabouts import run_device, same
from engine.workers.vocabulary import Vocabulary, end_ids

if TYPE_CHECKING:
    from engine.workers.training.race import Member
    from engine.workers.training.run import Run

Ended = TypeVar("Ended")


class TorchTrainer:
    """See engine.training.Trainer. Every method runs in the training thread."""

    def __init__(self, loaded: Callable[[str], LoadedModel | None], gate: Gate) -> None:
        """`loaded`: looks a loaded model up by its id."""
        self._loaded = loaded
        self._gate = gate
        self._bases = SharedBases()

    def estimate(self, spec: TrainSpec, model: ModelInfo, data: str) -> Estimate:
        """Tokenises the data and counts; loads no weights. Raises EngineError with what is wrong."""
        # peft takes seconds to import
        from engine.workers.training.adapter import adapter_parameters
        from engine.workers.training.lesson import prepare, step_count
        from engine.workers.training.objective import objective_of
        from engine.workers.training.packing import check_packing

        folder = Path(model.path)
        config = build_config(checked_config(folder, model.name), model.name)
        vocabulary = Vocabulary.load(folder, ChatTemplate.load(folder), end_ids(config))
        lesson = prepare(spec, Path(data), labeller(vocabulary, model), objective_of(spec))
        if spec.packing:
            check_packing(config)
        steps = step_count(spec, len(lesson.train))
        loaded = self._loaded(model.id)
        device = run_device(spec.device, loaded.model.device if loaded else None)
        dtype = pick_dtype(spec.dtype, device)
        held = loaded.info.memory if loaded else 0
        apart = loaded is not None and not same(device, loaded.model.device)
        shared = held if loaded and not apart and shares_weights(loaded.info, spec) else 0
        own = own_bytes(loaded.info if loaded else model, spec, dtype, apart=apart)
        width = 4 if spec.method == "full" and not spec.dtype else dtype.itemsize
        shape = fit.shape_of(
            config,
            width,
            adapter=0,
            base=shared + own if loaded else max(own, model.parameters * dtype.itemsize),
            shared=shared,
            longest=max(example.longest for example in lesson.train),
            longest_eval=max((example.longest for example in lesson.held), default=0),
            labelled=min(1.0, lesson.labelled / max(1, lesson.tokens)),
        )
        whole = self._whole(model.id)
        if whole:
            adapter = adapter_parameters(whole.model, spec)
        elif spec.method == "full":
            adapter = model.parameters
        else:
            adapter = fit.usual_adapter(shape, spec)
        seen = lesson.tokens / len(lesson.train) * spec.batch * spec.accumulate * steps
        duration = fit.seconds(model.parameters, int(seen), fit.flops_per_second(device, dtype))
        counts = (len(lesson.train) + len(lesson.held), lesson.tokens, lesson.labelled)
        found = fit.estimate(replace(shape, adapter=adapter), spec, steps, counts, duration, device)
        return replace(found, left_out=lesson.left_out)

    def train(self, job: RunJob, sink: RunSink, *, save_on_stop: threading.Event) -> RunOutcome:
        """Run to the end, or until stopped."""
        if job.spec.objective == "grpo":
            from engine.workers.training.outside import train_outside

            return train_outside("engine.workers.grpo", job, sink)
        try:
            return _guarded(job, lambda: self._run(job, sink).run(save_on_stop))
        finally:
            give_back_memory()

    def member(self, job: RunJob, sink: RunSink, *, save_on_stop: threading.Event) -> Member:
        """The same, driven in turns."""
        from engine.workers.training.race import Member

        guarded = partial(_guarded, job)
        return Member(lambda: self._run(job, sink, self._bases), guarded, save_on_stop)

    def _run(self, job: RunJob, sink: RunSink, bases: SharedBases | None = None) -> Run:
        from engine.workers.training.run import Run

        loaded = self._loaded(job.model.id)
        if loaded is None:
            raise fault("model_not_loaded", f"{job.model.name} is not loaded", remedy="Start the run again")

        def make() -> Base:
            return Base.for_run(loaded, job.spec, sink.stopped, lambda: sink.phase("load"))

        apart = not same(run_device(job.spec.device, loaded.model.device), loaded.model.device)
        base = make() if bases is None else bases.get(loaded.info, job.spec, make, apart=apart)
        return Run(job, base, sink, self._gate)

    def _whole(self, model: str) -> LoadedModel | None:
        """The loaded model if a run can share its weights: packed ones have no gradients."""
        loaded = self._loaded(model)
        return None if loaded is None or loaded.info.quant else loaded


def _guarded(job: RunJob, work: Callable[[], Ended]) -> Ended | RunOutcome:
    """What `work` returns; memory that ran out is an EngineError with advice."""
    use_threads(job.model.parameters)
    try:
        return work()
    except EngineError as error:
        if error.info.code == "cancelled":  # stopped while its own weights were loading
            return RunOutcome(0)
        raise
    except (RuntimeError, MemoryError, OSError) as error:
        if not is_out_of_memory(error):
            raise
        failed = _advised(out_of_memory("training", error), job.spec)
    raise failed  # outside the handler: an exception that is being handled keeps its frames' tensors


def _advised(error: EngineError, spec: TrainSpec) -> EngineError:
    """The same fault with the change that would help most."""
    less = smaller(spec)
    if less is None:
        advice = f"Shorten the rows (length is {spec.length}), or choose a smaller or a 4-bit base"
    elif less.batch < spec.batch:
        advice = f"Resume it with batch {less.batch} and accumulate {less.accumulate}: it learns the same"
    else:
        advice = "Resume it with checkpointing on: slower, and the layers keep less"
    return EngineError(replace(error.info, remedy=advice))
