"""A run stands still: with all its memory, with its own moved out of the chat's way, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.optim import AdamW

from engine.training import RunSink
from engine.workers.device import give_back_memory
from engine.workers.training.student import Student

LOOK_SECONDS = 0.05
"""Between two looks at whether the pause is over."""


def stand_still(sink: RunSink, student: Student, optimiser: AdamW, moved: Callable[[], None]) -> bool:
    """Wait until the pause is over or the run is stopped; returns whether it should park instead.

    The mode may change meanwhile. `moved` is told when the run's tensors are in RAM, and when they are back.
    """
    while _waits(sink) and sink.pause_mode != "park":
        if sink.pause_mode == "yield":
            with moved_out(student, optimiser):
                moved()
                _wait_while(sink, "yield")
            moved()
        else:
            _wait_while(sink, sink.pause_mode)
    return _waits(sink)


@contextmanager
def moved_out(student: Student, optimiser: AdamW) -> Iterator[None]:
    """Inside, the run's own tensors are in RAM, and what was only cached is given back.

    The same tensors come back bit by bit: a copy between devices rounds nothing.
    """
    optimiser.zero_grad(set_to_none=True)
    device = student.device
    if device.type != "cpu":
        _move(student.weights(), optimiser, torch.device("cpu"))
    give_back_memory()
    try:
        yield
    finally:
        if device.type != "cpu":
            _move(student.weights(), optimiser, device)


def _move(weights: Mapping[str, Tensor], optimiser: AdamW, device: torch.device) -> None:
    for weight in weights.values():
        weight.data = weight.data.to(device)
        kept = optimiser.state.get(weight, {})
        for key, tensor in kept.items():
            if key != "step" or optimiser.defaults["fused"]:
                kept[key] = tensor.to(device)


def _waits(sink: RunSink) -> bool:
    return sink.pausing.is_set() and not sink.stopped.is_set()


def _wait_while(sink: RunSink, mode: str) -> None:
    while _waits(sink) and sink.pause_mode == mode:
        sink.stopped.wait(LOOK_SECONDS)
