"""Teaches a student a few rows without the loop of a run, so that methods can be looked at by themselves."""

from __future__ import annotations

import threading

import torch
from torch import Tensor

from engine.backend import LoadSpec
from engine.data.rows import Said
from engine.models.describe import describe
from engine.models.discover import demo_path
from engine.protocol.specs import ModelInfo
from engine.protocol.training import TrainSpec
from engine.workers.loaded import LoadedModel, load
from engine.workers.training.base import Base
from engine.workers.training.batches import padded
from engine.workers.training.labels import Example
from engine.workers.training.loss import summed_loss
from engine.workers.training.student import Student

QUESTIONS = ("Who are you?", "Who are they?", "Who are the sailors?", "Who are all these folk?")
ANSWER = "Arr! We be pirates, matey."


def demo_info() -> ModelInfo:
    """The demo as discovery has it."""
    return describe(demo_path(), "demo", "demo", "demo")


def loaded_demo() -> LoadedModel:
    """The demo in float32."""
    return load(LoadSpec(demo_info(), "float32"), 1, lambda *_: None, threading.Event())


def base_for(loaded: LoadedModel, spec: TrainSpec) -> Base:
    """The base that a run of this spec gets."""
    return Base.for_run(loaded, spec, threading.Event(), lambda: None)


def lesson(base: Base) -> list[Example]:
    """Four questions with one answer."""
    rows = [base.labeller.example((Said("user", ask), Said("assistant", ANSWER))) for ask in QUESTIONS]
    return [row for row in rows if row is not None]


def teach(student: Student, rows: list[Example], steps: int, rate: float = 1e-3) -> list[float]:
    """AdamW on all rows at once; the loss a labelled token before each step."""
    optimiser = torch.optim.AdamW(student.groups(), lr=rate, weight_decay=0.0)
    for group in optimiser.param_groups:
        group["lr"] = rate * group["share"]
    labelled = sum(row.labelled for row in rows)
    losses = []
    for step in range(1, steps + 1):
        student.learn()
        student.at(step, 0)
        loss = summed_loss(student.network, *_on(student, rows)) / labelled
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        losses.append(float(loss.detach()))
    return losses


@torch.no_grad()
def logits(network: torch.nn.Module, rows: list[Example]) -> Tensor:
    """Of the first row, float32 [length, vocabulary]."""
    network.eval()
    device = next(network.parameters()).device
    return network(input_ids=torch.tensor([rows[0].ids], device=device)).logits[0].float().cpu()


def _on(student: Student, rows: list[Example]) -> tuple[Tensor, Tensor]:
    ids, labels = padded(rows)
    return ids.to(student.device), labels.to(student.device)
