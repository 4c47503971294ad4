"""Several processes that share the layers' weights between them (torch's fully_shard, FSDP2).

Each layer is gathered for its forward and backward and let go of again; embedding and head stay whole on
every rank, because the loss reads the head in chunks. What learns in the layers, its gradients and AdamW's
moments lie spread as well; checkpoints hold them whole, so that any number of processes can go on from one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import AdamW

from engine.protocol.errors import fault
from engine.protocol.training import TrainSpec
from engine.training import RunJob, RunSink
from engine.workers.training.course import Course
from engine.workers.training.keeper import Keeper
from engine.workers.training.optimiser import MOMENTS, moments
from engine.workers.training.ranks import Dealt
from engine.workers.training.recompute import decoder_layers, recompute
from engine.workers.training.student import Student


class Sharded(Dealt):
    """See the module."""

    whole = False

    def __init__(self, spec: TrainSpec) -> None:
        super().__init__()
        self._spec = spec
        if spec.method == "full" and spec.objective in ("dpo", "kto"):
            raise fault(
                "spec_wrong",
                f"{spec.objective} needs the base beside what learns, and neither would be whole anywhere",
                remedy="Use an adapter, or leave --fsdp out",
            )
        if spec.quant:
            title = f"A base in {spec.quant} cannot be dealt out"
            raise fault("spec_wrong", title, remedy="Leave `quant` out")

    def keeper(self, job: RunJob, sink: RunSink, student: Student, optimiser: AdamW) -> Keeper:
        return _Gathering(job, sink, student, optimiser, writes=self.index == 0)

    def spread(self, student: Student, optimiser: AdamW) -> None:
        saved = moments(optimiser, student.weights())
        layers = decoder_layers(student.network)
        if self._spec.checkpointing == "on":
            recompute(student.network, len(layers))
        for layer in layers:
            held = list(layer.parameters())
            sharded: Any = fully_shard(layer)
            sharded.set_gradient_divide_factor(1.0)  # gradients are summed, not averaged
            sharded.set_force_sum_reduction_for_comms(True)  # gloo knows no other
            for parameter in held:  # the base's skeleton would keep them whole
                parameter.data = torch.empty(0, dtype=parameter.dtype, device=parameter.device)
        optimiser.param_groups.clear()
        optimiser.state.clear()
        for group in student.groups():
            optimiser.add_param_group(group)
        for name, weight in student.weights().items():
            found = {key: saved[f"{name}|{key}"] for key in MOMENTS if f"{name}|{key}" in saved}
            if found:
                optimiser.state[weight] = {key: _like(weight, key, value) for key, value in found.items()}

    def gather(self, weights: Sequence[Tensor]) -> None:
        super().gather([weight for weight in weights if not isinstance(weight, DTensor)])

    def clip(self, weights: list[Tensor], most: float) -> float:
        parts = [weight.grad for weight in weights if weight.grad is not None]
        spread = [part.to_local() for part in parts if isinstance(part, DTensor)]
        whole = [part for part in parts if not isinstance(part, DTensor)]
        squares = sum((part.float().square().sum().item() for part in spread), 0.0)
        squares, _ = self.summed(squares, {})
        norm = math.sqrt(squares + sum(part.float().square().sum().item() for part in whole))
        if norm > most:
            for part in [*spread, *whole]:
                part.mul_(most / (norm + 1e-6))
        return norm


class _Gathering(Keeper):
    """Gathers what is spread on all ranks; one of them writes."""

    def __init__(
        self, job: RunJob, sink: RunSink, student: Student, optimiser: AdamW, *, writes: bool
    ) -> None:
        super().__init__(job, sink, student, optimiser)
        self._writes = writes

    def save(self, course: Course) -> None:
        if course.step in (0, self.saved_at):
            return
        spread = self._optimiser
        held = {key: _whole(value) for key, value in moments(spread, self._student.weights()).items()}
        with _gathered(self._student):
            try:
                if self._writes:
                    self._optimiser = _stand_in(self._student.weights(), held)
                    super().save(course)
            finally:
                self._optimiser = spread
        self.saved_at = course.step

    def finish(self, course: Course) -> str:
        with _gathered(self._student):
            return super().finish(course) if self._writes else ""


@contextmanager
def _gathered(student: Student) -> Iterator[None]:
    """Inside, every rank has whole copies of what learns; all ranks must come here."""
    layers = [layer for layer in decoder_layers(student.network) if isinstance(layer, FSDPModule)]
    for layer in layers:
        layer.unshard()
    own = [(module, name, weight) for layer in layers for module, name, weight in _learning(layer)]
    for module, name, weight in own:  # a file is written from a copy: numpy would pin FSDP's own storage
        setattr(module, name, nn.Parameter(weight.detach().clone()))
    hooks = [module._state_dict_pre_hooks for layer in layers for module in layer.modules()]
    kept = [dict(each) for each in hooks]
    for each in hooks:  # FSDP's own would put the spread weights back before a state_dict
        each.clear()
    try:
        yield
    finally:
        for each, before in zip(hooks, kept, strict=True):
            each.update(before)
        for module, name, weight in own:
            setattr(module, name, weight)
        dist.barrier()
        for layer in layers:
            layer.reshard()


def _learning(layer: nn.Module) -> list[tuple[nn.Module, str, nn.Parameter]]:
    return [
        (module, name, weight)
        for module in layer.modules()
        for name, weight in module.named_parameters(recurse=False)
        if weight.requires_grad
    ]


def _stand_in(weights: Mapping[str, Tensor], held: Mapping[str, Tensor]) -> AdamW:
    """An optimiser that holds these moments for whole weights, to be written."""
    optimiser = AdamW(list(weights.values()))
    for name, weight in weights.items():
        found = {key: held[f"{name}|{key}"] for key in MOMENTS if f"{name}|{key}" in held}
        if found:
            optimiser.state[weight] = found
    return optimiser


def _whole(tensor: Tensor) -> Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def _like(weight: Tensor, key: str, saved: Tensor) -> Tensor:
    if key == "step" or not isinstance(weight, DTensor):
        return saved
    return distribute_tensor(saved, weight.device_mesh, weight.placements)
