"""How many processes a run is computed by: what differs between one and several, in one place.

`Ranks` is one process and does nothing. `Dealt` is several: each optimiser step sees the rows that one
process would see with the whole batch, each rank computes its share of every micro-batch, and losses and
gradients are summed over all ranks and divided by the weight of all rows, which every rank knows.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
from msgspec.structs import replace
from torch import Tensor
from torch.optim import AdamW

from engine.protocol.errors import EngineError, fault
from engine.protocol.training import TrainSpec
from engine.training import RunJob, RunSink
from engine.workers.training.course import Course
from engine.workers.training.keeper import Keeper
from engine.workers.training.labels import Labeller, Tally
from engine.workers.training.objective import Objective
from engine.workers.training.student import Student


class Ranks:
    """One process."""

    index = 0
    size = 1
    whole = True
    """Whether every rank holds all weights, so that one of them can compute by itself."""

    def own(self, spec: TrainSpec) -> TrainSpec:
        """The spec of what one rank computes."""
        return spec

    def objective(self, objective: Objective) -> Objective:
        """The one that this rank computes its share by."""
        return objective

    def keeper(self, job: RunJob, sink: RunSink, student: Student, optimiser: AdamW) -> Keeper:
        return Keeper(job, sink, student, optimiser)

    def spread(self, student: Student, optimiser: AdamW) -> None:
        """Deal the weights and their moments out, once they are as the run goes on with them."""

    def micro(self, micro: int) -> int:
        """A number for this rank's part of a micro-batch, which dropout's masks depend on."""
        return micro

    def meet(self, stopped: threading.Event) -> None:
        """Agree before a step whether it is taken: no rank may wait for one that left."""

    def gather(self, weights: Sequence[Tensor]) -> None:
        """Sum the gradients over all ranks; call once a step, after the last backward."""

    def summed(self, total: float, metrics: Mapping[str, float]) -> tuple[float, dict[str, float]]:
        """Sums of all ranks."""
        return total, dict(metrics)

    def clip(self, weights: list[Tensor], most: float) -> float:
        """The norm of all gradients, which are scaled down to `most` where it is larger."""
        return float(torch.nn.utils.clip_grad_norm_(weights, most, foreach=False))


class Dealt(Ranks):
    """Several processes that all hold the whole model (data parallel). The group must be up."""

    def __init__(self) -> None:
        self.index, self.size = dist.get_rank(), dist.get_world_size()
        self.asked = threading.Event()
        """Set by this rank's signals; all stop at the next meeting."""

    def own(self, spec: TrainSpec) -> TrainSpec:
        return replace(spec, batch=math.ceil(spec.batch / self.size))

    def objective(self, objective: Objective) -> Objective:
        return _Share(objective, self.index, self.size)

    def keeper(self, job: RunJob, sink: RunSink, student: Student, optimiser: AdamW) -> Keeper:
        kind = Keeper if self.index == 0 else _Follower
        return kind(job, sink, student, optimiser)

    def micro(self, micro: int) -> int:
        return micro * self.size + self.index

    def meet(self, stopped: threading.Event) -> None:
        wish = torch.tensor([float(self.asked.is_set() or stopped.is_set())], device=_device())
        dist.all_reduce(wish, op=dist.ReduceOp.MAX)
        if wish.item():
            stopped.set()

    def gather(self, weights: Sequence[Tensor]) -> None:
        for weight in weights:
            if weight.grad is not None:
                dist.all_reduce(weight.grad)

    def summed(self, total: float, metrics: Mapping[str, float]) -> tuple[float, dict[str, float]]:
        names = sorted(metrics)
        kind = torch.float64 if _device().type != "mps" else torch.float32
        sums = torch.tensor([total, *(metrics[name] for name in names)], dtype=kind, device=_device())
        dist.all_reduce(sums)
        whole, *rest = sums.tolist()
        return whole, dict(zip(names, rest, strict=True))


class _Share:
    """An objective that computes each `size`-th row of a batch, from `index` on; weights count all rows."""

    def __init__(self, objective: Objective, index: int, size: int) -> None:
        self._objective, self._index, self._size = objective, index, size

    def examples(self, rows: Sequence[Any], labeller: Labeller, length: int) -> Tally:
        return self._objective.examples(rows, labeller, length)

    def weight(self, batch: Sequence[Any]) -> int:
        return self._objective.weight(batch)

    def summed(self, student: Any, batch: Sequence[Any]) -> tuple[Tensor, dict[str, float]]:
        mine = batch[self._index :: self._size]
        if mine:
            return self._objective.summed(student, mine)
        # No row is left for this rank, and the others wait for it in every layer and metric.
        loss, metrics = self._objective.summed(student, batch[:1])
        return loss * 0.0, dict.fromkeys(metrics, 0.0)


class _Follower(Keeper):
    """Of all ranks but the first: that one writes."""

    def save(self, course: Course) -> None:
        self.saved_at = course.step or self.saved_at

    def finish(self, course: Course) -> str:
        return ""


def check_dealt(spec: TrainSpec, size: int) -> None:
    """Raises EngineError `spec_wrong` for what cannot be computed by several processes."""
    if size > 1 and spec.objective == "kto":
        raise _undealt("kto compares each row with another one of its batch")
    if size > 1 and spec.method == "eva":
        raise _undealt("eva starts from what one process has seen")


def _undealt(why: str) -> EngineError:
    return fault("spec_wrong", "This run needs one process", why, "Start it without torchrun")


def _device() -> torch.device:
    """Where the group's tensors lie."""
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")
