"""Adapters in the chat: each on a skeleton of its own over the one copy of the weights."""

from __future__ import annotations

import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers import PreTrainedModel

from engine.models.adapters import CONFIG, WEIGHTS
from engine.protocol.errors import EngineError, fault
from engine.protocol.runs import AdapterInfo
from engine.workers.loaded import LoadedModel

KEPT = 4
"""Adapters that stay ready; one costs its own weights and about 1 MB."""
_KEYS = (
    *("r", "lora_alpha", "target_modules", "exclude_modules", "rank_pattern", "alpha_pattern"),
    *("use_rslora", "use_dora", "bias", "lora_bias", "fan_in_fan_out", "modules_to_save"),
    *("layers_to_transform", "layers_pattern", "trainable_token_indices", "target_parameters"),
)
"""What of an adapter_config.json is used; the rest concerns training, or could name code."""


class AdaptedModels:
    """The models that replies with an adapter run on. Used from the model thread."""

    def __init__(self) -> None:
        self._ready: OrderedDict[tuple[int, str, str], PreTrainedModel] = OrderedDict()

    def get(self, loaded: LoadedModel, adapter: AdapterInfo) -> PreTrainedModel:
        """The base with this adapter on; the pristine one stays untouched. Raises EngineError."""
        key = (loaded.serial, adapter.id, adapter.version)
        if key not in self._ready:
            self._ready[key] = _adapted(loaded, adapter)
        self._ready.move_to_end(key)
        while len(self._ready) > KEPT:
            self._ready.popitem(last=False)
        return self._ready[key]

    def forget(self, serial: int) -> None:
        """Drop all that stand on a model that goes."""
        for key in [key for key in self._ready if key[0] == serial]:
            del self._ready[key]


def _adapted(loaded: LoadedModel, adapter: AdapterInfo) -> PreTrainedModel:
    from peft import LoraConfig, get_peft_model, set_peft_model_state_dict  # seconds, so not at start
    from safetensors.torch import load_file

    from engine.workers.training.adapter import skeleton

    folder = Path(adapter.path)
    try:
        config: dict[str, Any] = json.loads((folder / CONFIG).read_bytes())
        wanted = {key: config[key] for key in _KEYS if config.get(key) is not None}
        tensors = load_file(folder / WEIGHTS)
        model = get_peft_model(skeleton(loaded.model), LoraConfig(task_type="CAUSAL_LM", **wanted))
        report: Any = set_peft_model_state_dict(model, tensors)
    except (OSError, ValueError, TypeError, RuntimeError, KeyError, SafetensorError) as error:
        raise _broken(adapter, str(error).strip().partition("\n")[0]) from error
    if report.unexpected_keys:
        raise _broken(adapter, f"The model has no place for {report.unexpected_keys[0]}")
    base: Any = model.get_base_model()
    base.requires_grad_(False)
    adapted: PreTrainedModel = base.eval()
    return adapted


def _broken(adapter: AdapterInfo, detail: str) -> EngineError:
    return fault(
        "adapter_broken",
        f"The adapter {adapter.name} cannot be put on this model",
        detail,
        "Turn the adapter off, or train it again on this base",
    )
