"""The base of a run in a process of its own, where no chat holds weights."""

from __future__ import annotations

import threading

from engine.training import RunJob
from engine.workers.device import pick_device
from engine.workers.training.base import Base, check_here, own_base
from engine.workers.training.quantised_base import PackedStarts


def base_apart(job: RunJob, cancelled: threading.Event) -> Base:
    """Load the weights that the run learns on. Raises EngineError as a load does, `method_unsupported`."""
    check_here(job.spec, pick_device())
    starts = PackedStarts(job.spec)
    made = Base.of(own_base(job.model, cancelled, job.spec, starts))
    return Base(made.pristine, made.labeller, made.reference, made.folder, starts.taken)
