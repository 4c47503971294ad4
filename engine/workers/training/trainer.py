"""The training thread's door: estimates and runs, on the weights that the model thread loaded."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import torch

from engine.chat.template import ChatTemplate
from engine.protocol.errors import EngineError, fault
from engine.protocol.runs import Estimate, TrainSpec
from engine.protocol.specs import ModelInfo
from engine.training import RunJob, RunOutcome, RunSink
from engine.workers.device import (
    give_back_memory,
    is_out_of_memory,
    out_of_memory,
    pick_device,
    pick_dtype,
    use_threads,
)
from engine.workers.folder import checked_config
from engine.workers.gate import Gate
from engine.workers.load import build_config
from engine.workers.loaded import LoadedModel
from engine.workers.training import estimate as fit
from engine.workers.training.base import Base, labeller, own_base
from engine.workers.vocabulary import Vocabulary, end_ids

_WIDTHS = {torch.float32: 4, torch.bfloat16: 2, torch.float16: 2}


class TorchTrainer:
    """See engine.training.Trainer. Every method runs in the training thread."""

    def __init__(self, loaded: Callable[[str], LoadedModel | None], gate: Gate) -> None:
        """`loaded`: looks a loaded model up by its id."""
        self._loaded = loaded
        self._gate = gate

    def estimate(self, spec: TrainSpec, model: ModelInfo, data: str) -> Estimate:
        """Tokenises the data and counts; loads no weights. Raises EngineError with what is wrong."""
        # peft takes seconds to import
        from engine.workers.training.adapter import adapter_parameters
        from engine.workers.training.lesson import prepare, step_count
        from engine.workers.training.objective import objective_of

        folder = Path(model.path)
        config = build_config(checked_config(folder, model.name), model.name)
        vocabulary = Vocabulary.load(folder, ChatTemplate.load(folder), end_ids(config))
        lesson = prepare(spec, Path(data), labeller(vocabulary, model), objective_of(spec))
        steps = step_count(spec, len(lesson.train))
        device = pick_device()
        dtype = pick_dtype("", device)
        loaded = self._whole(model.id)
        base_bytes = loaded.info.memory if loaded else model.parameters * _WIDTHS[dtype]
        text = config.get_text_config(decoder=True)
        if loaded:
            adapter = adapter_parameters(loaded.model, spec)
        else:  # seven projections a layer, each of about the hidden size on both sides
            adapter = spec.rank * 2 * text.hidden_size * 7 * text.num_hidden_layers
        sizes = fit.parts(config, spec, base_bytes, adapter, lesson.longest)
        seen = lesson.tokens / len(lesson.train) * spec.batch * spec.accumulate * steps
        duration = fit.seconds(model.parameters, int(seen), fit.flops_per_second(device, dtype))
        counts = (len(lesson.train) + len(lesson.held), lesson.tokens, lesson.labelled)
        return fit.estimate(sizes, steps, counts, base_bytes if loaded else 0, duration)

    def train(self, job: RunJob, sink: RunSink, *, save_on_stop: threading.Event) -> RunOutcome:
        """Run to the end, or until stopped."""
        from engine.workers.training.run import Run

        loaded = self._loaded(job.model.id)
        if loaded is None:
            raise fault("model_not_loaded", f"{job.model.name} is not loaded", remedy="Start the run again")
        use_threads(job.model.parameters)
        try:
            if loaded.info.quant:
                sink.phase("load")
                loaded = own_base(loaded.info, sink.stopped)
            return Run(job, Base.of(loaded), sink, self._gate).run(save_on_stop)
        except EngineError as error:
            if error.info.code == "cancelled":  # stopped while its own weights were loading
                return RunOutcome(0)
            raise
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            failed = out_of_memory("training", error)
        finally:
            give_back_memory()
        raise failed  # outside the handler: an exception that is being handled keeps its frames' tensors

    def _whole(self, model: str) -> LoadedModel | None:
        """The loaded model if a run can share its weights: packed ones have no gradients."""
        loaded = self._loaded(model)
        return None if loaded is None or loaded.info.quant else loaded
