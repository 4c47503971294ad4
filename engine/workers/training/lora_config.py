"""From a spec to PEFT's LoraConfig, with the raw keys of run.toml on top."""

from __future__ import annotations

import dataclasses
import difflib
from typing import Any

from peft import LoraConfig
from torch import nn

from engine.data.methods import MUTATING, default_alpha
from engine.protocol.errors import EngineError, fault
from engine.protocol.training import TrainSpec
from engine.workers.training.targets import target_names

_OURS = frozenset(
    {
        *("task_type", "peft_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision"),
        *("inference_mode", "runtime_config", "megatron_config", "megatron_core"),
        *("eva_config", "loftq_config", "corda_config", "lora_ga_config", "modules_to_save"),
    }
)
"""Keys that a run sets by itself, or that name another program's parts."""
_INITS = (True, "gaussian")
_FREE = frozenset({"lora_alpha", "lora_dropout"})
"""Raw keys that go with a start in the weights, whose result is converted to plain LoRA."""


def lora_config(model: nn.Module, spec: TrainSpec, base: str) -> LoraConfig:
    """Raises EngineError `no_targets`, and `spec_wrong` with the raw key that is wrong."""
    checked_keys(spec)
    values: dict[str, Any] = {
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": spec.rank,
        "lora_alpha": spec.alpha or default_alpha(spec.method, spec.rank),
        "lora_dropout": spec.dropout,
        "use_rslora": spec.method == "rslora",
        "use_dora": spec.method == "dora",
    }
    if "target_modules" not in spec.peft:
        values["target_modules"] = target_names(model, spec.targets)
    try:
        return LoraConfig(**(values | spec.peft))
    except (TypeError, ValueError) as error:
        raise refused(spec, str(error)) from error


def checked_keys(spec: TrainSpec) -> None:
    """Raises EngineError `spec_wrong` that names the first raw key that a run cannot take."""
    known = {field.name for field in dataclasses.fields(LoraConfig)}
    for key, value in spec.peft.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            remedy = f"Did you mean {near[0]}?" if near else "See the fields of PEFT's LoraConfig"
            raise fault("spec_wrong", f"peft.{key} is no key of PEFT's LoraConfig", remedy=remedy)
        if key in _OURS:
            raise fault("spec_wrong", f"peft.{key} is set by the run itself", remedy="Leave it out")
        if key == "init_lora_weights" and value not in _INITS:
            raise fault(
                "spec_wrong",
                f"peft.init_lora_weights is {value!r}",
                "A start that looks at the weights or the data is a method of its own",
                'Set `method` to pissa, olora, eva or loftq; here true or "gaussian"',
            )
        if key not in _FREE and spec.method in MUTATING:
            raise fault(
                "spec_wrong",
                f"peft.{key} does not go with {spec.method}",
                "Its result is written as a plain LoRA of twice the rank, which has no place for it",
                f"Leave peft.{key} out, or set `method` to lora",
            )


def refused(spec: TrainSpec, why: str) -> EngineError:
    """The EngineError for raw keys that PEFT itself does not take."""
    return fault(
        "spec_wrong",
        f"PEFT does not take peft.{', peft.'.join(spec.peft)}" if spec.peft else "PEFT does not take the run",
        why.partition("\n")[0][:300],
        "Change or leave out these keys",
    )
