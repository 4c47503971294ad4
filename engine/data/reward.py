"""Rewards of GRPO: what an answer is worth, by a function of the person's or one of ours."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from engine.protocol.errors import fault
from engine.protocol.training import TrainSpec
from engine.scoring import same

BUILT_IN = ("exact", "length")
LENGTH = 200
"""Characters of an answer that `length` finds best."""
METHODS = ("lora", "rslora", "dora")

Reward = Callable[[str, str, str], float]
"""(prompt, the model's answer, the row's answer) to a number; higher is better."""


def exact(prompt: str, answer: str, expected: str) -> float:
    """1 where the answer is the row's, but for case, spaces and a full stop; else 0."""
    return float(same(answer, expected))


def length(prompt: str, answer: str, expected: str) -> float:
    """0 at LENGTH characters, falling to -1 for an answer twice as long, or none."""
    return -min(1.0, abs(len(answer) - LENGTH) / LENGTH)


def check_grpo(spec: TrainSpec) -> None:
    """Raises EngineError `spec_wrong`, `reward_unreadable` or `extra_missing` for a run that cannot work."""
    if spec.objective != "grpo":
        if spec.reward:
            raise fault(
                "spec_wrong", "Only grpo has a reward", remedy="Set `objective` to grpo, or leave it out"
            )
        return
    if find_spec("trl") is None:
        remedy = 'Install it with `pip install "qwill[rl]"`'
        raise fault("extra_missing", "GRPO needs TRL", "Its package is trl", remedy)
    if spec.method not in METHODS or spec.quant:
        remedy = f"Set `method` to {', '.join(METHODS)}, and leave `quant` out"
        raise fault("spec_wrong", "grpo learns an adapter on a whole base", remedy=remedy)
    if spec.batch < 2:
        raise fault(
            "spec_wrong",
            f"grpo compares answers to the same prompt, and batch is {spec.batch}",
            remedy="Set `batch` to 2 or more: that many answers are tried",
        )
    path = Path(spec.reward)
    if spec.reward not in ("", *BUILT_IN) and not (path.suffix == ".py" and path.is_file()):
        raise fault(
            "reward_unreadable",
            f"{spec.reward} is no Python file",
            remedy=f"Give a Python file with reward(prompt, answer), or {' or '.join(BUILT_IN)}",
        )


def reward_of(name: str) -> Reward:
    """By its name, or out of a Python file, which runs. Raises EngineError `reward_unreadable`."""
    if name in ("", *BUILT_IN):
        return {"length": length}.get(name, exact)
    try:
        spec = importlib.util.spec_from_file_location("qwill_reward", name)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        function = vars(module)["reward"]
        takes = len(inspect.signature(function).parameters)
    except Exception as error:  # a person's file may raise anything
        why = (
            "It has no function `reward`"
            if isinstance(error, KeyError)
            else f"{type(error).__name__}: {error}"
        )
        raise fault("reward_unreadable", f"{name} gives no reward", why, "Look at that file") from error
    if takes >= 3:
        return lambda prompt, answer, expected: float(function(prompt, answer, expected))
    return lambda prompt, answer, expected: float(function(prompt, answer))
