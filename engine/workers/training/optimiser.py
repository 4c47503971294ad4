"""AdamW over what learns, and its moments by the weights' names, for checkpoints."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.optim import AdamW

from engine.protocol.errors import fault
from engine.protocol.training import TrainSpec
from engine.workers.training.student import Student

MOMENTS = ("step", "exp_avg", "exp_avg_sq")
"""What AdamW keeps for a weight."""


def adamw(student: Student, spec: TrainSpec) -> AdamW:
    """One weight after another, or one kernel on a GPU; torch's `foreach` would copy all weights at once."""
    fused = student.device.type == "cuda"
    return AdamW(student.groups(), lr=spec.rate, weight_decay=spec.weight_decay, foreach=False, fused=fused)


def moments(optimiser: AdamW, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`NAME|exp_avg` and its like, the tensors themselves; a weight that was never stepped has none."""
    return {
        f"{name}|{key}": optimiser.state[weight][key]
        for name, weight in weights.items()
        for key in MOMENTS
        if key in optimiser.state.get(weight, {})
    }


def restore(optimiser: AdamW, weights: Mapping[str, Tensor], saved: Mapping[str, Tensor]) -> None:
    """Take back what `moments` gave, in its dtype, on each weight's device.

    torch's own load_state_dict would cast. Raises EngineError `checkpoint_wrong`.
    """
    known = {f"{name}|{key}" for name in weights for key in MOMENTS}
    if not saved.keys() <= known:
        raise _wrong(f"it has moments of {min(saved.keys() - known)}, which this run does not learn")
    fused = bool(optimiser.defaults["fused"])
    for name, weight in weights.items():
        found = {key: saved[f"{name}|{key}"] for key in MOMENTS if f"{name}|{key}" in saved}
        if not found:
            continue
        if len(found) < len(MOMENTS) or found["exp_avg"].shape != weight.shape:
            raise _wrong(f"the moments of {name} have another shape")
        optimiser.state[weight] = {
            # A kernel wants the count beside the weight, the plain loop wants it where Python can read it.
            key: tensor.to(weight.device if key != "step" or fused else "cpu", copy=True)
            for key, tensor in found.items()
        }
    for key, tensor in moments(optimiser, weights).items():
        if tensor.dtype != saved[key].dtype or not torch.equal(tensor.cpu(), saved[key].cpu()):
            raise _wrong(f"{key} could not be restored")


def _wrong(why: str) -> Exception:
    return fault(
        "checkpoint_wrong",
        "The checkpoint does not fit this run",
        why,
        "Start the run again, or resume from an earlier checkpoint",
    )
