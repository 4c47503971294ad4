"""Adapters in the chat: each on a skeleton of its own over the one copy of the weights."""

from __future__ import annotations

import json
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError
from transformers import PreTrainedModel

from engine.holdings import Held, shared
from engine.models.adapters import CONFIG, WEIGHTS
from engine.protocol.errors import EngineError, fault
from engine.protocol.runs import AdapterInfo
from engine.workers.adapter_mix import broken, refuse_unmixable, slot
from engine.workers.loaded import LoadedModel
from engine.workers.memory import own_bytes

KEPT = 4
"""Adapters that stay ready; one costs its own weights and about 1 MB."""
_KEYS = (
    *("r", "lora_alpha", "target_modules", "exclude_modules", "rank_pattern", "alpha_pattern"),
    *("use_rslora", "use_dora", "bias", "lora_bias", "fan_in_fan_out", "modules_to_save"),
    *("layers_to_transform", "layers_pattern", "trainable_token_indices", "target_parameters"),
)
"""What of an adapter_config.json is used; the rest concerns training, or could name code."""


class _Ready(NamedTuple):
    """An adapter, or several, on a skeleton."""

    model: PreTrainedModel
    scales: tuple[tuple[dict[str, float], dict[str, float]], ...]
    """Of each layer: the scaling that its forward reads, and what it was at first."""
    held: Held
    """Its bytes beside the base's."""


class AdaptedModels:
    """The models that replies with an adapter run on. Used from the model thread."""

    def __init__(self) -> None:
        self._ready: OrderedDict[tuple[int, tuple[tuple[str, str], ...]], _Ready] = OrderedDict()

    def get(self, loaded: LoadedModel, adapter: AdapterInfo, weight: float = 1.0) -> PreTrainedModel:
        """The base with this adapter on, at this weight; see `mixed`."""
        return self.mixed(loaded, ((adapter, weight),))

    def mixed(self, loaded: LoadedModel, adapters: tuple[tuple[AdapterInfo, float], ...]) -> PreTrainedModel:
        """The base with the weighted changes of these adapters added; the pristine one stays untouched.

        No weights are read or copied again for other weights. Raises EngineError `adapter_broken`,
        `adapter_unscalable`, `adapter_unmixable`.
        """
        for adapter, weight in adapters:
            if weight != 1.0 and adapter.method == "dora":
                raise _unscalable(adapter)
        infos = tuple(info for info, _ in adapters)
        key = (loaded.serial, tuple((info.id, info.version) for info in infos))
        if key not in self._ready:
            model = on_base(loaded, *infos)
            self._ready[key] = _Ready(model, _scales(model), _held(model, loaded, infos))
        self._ready.move_to_end(key)
        while len(self._ready) > KEPT:
            self._ready.popitem(last=False)
        self._tell()
        ready = self._ready[key]
        weights = {slot(place): weight for place, (_, weight) in enumerate(adapters)}
        for live, first in ready.scales:
            for name, scale in first.items():
                live[name] = scale * weights[name]
        return ready.model

    def forget(self, serial: int) -> None:
        """Drop all that stand on a model that goes."""
        for key in [key for key in self._ready if key[0] == serial]:
            del self._ready[key]
        self._tell()

    def _tell(self) -> None:
        shared.hold(f"adapters {id(self)}", (ready.held for ready in self._ready.values()))


def _held(model: PreTrainedModel, loaded: LoadedModel, adapters: tuple[AdapterInfo, ...]) -> Held:
    names, size = " + ".join(adapter.name for adapter in adapters), 0
    with shared.unharmed("the adapters in the chat"):
        size = own_bytes(model, loaded.model)
    return Held("adapter", size, names, loaded.info.device)


def _scales(model: PreTrainedModel) -> tuple[tuple[dict[str, float], dict[str, float]], ...]:
    """Of every LoRA layer; an attention's own `scaling` is a number, not one by adapter."""
    tables = [getattr(module, "scaling", None) for module in model.modules()]
    return tuple((table, dict(table)) for table in tables if isinstance(table, dict))


def on_base(loaded: LoadedModel, *adapters: AdapterInfo) -> PreTrainedModel:
    """The adapters' files on a new skeleton over the loaded weights; several are active at once.

    Raises EngineError `adapter_broken`, `adapter_unmixable`.
    """
    if loaded.info.quant:
        from engine.workers.packed_lora import on_packed

        return on_packed(loaded, *adapters)
    from engine.workers.training.adapter import skeleton

    model: Any = skeleton(loaded.model)
    for place, adapter in enumerate(adapters):
        model = _with(model, adapter, slot(place), alone=len(adapters) == 1)
    if len(adapters) > 1:
        model.base_model.set_adapter([slot(place) for place in range(len(adapters))])
    base: Any = model.get_base_model()
    base.requires_grad_(False)
    adapted: PreTrainedModel = base.eval()
    return adapted


def _with(model: Any, adapter: AdapterInfo, name: str, *, alone: bool) -> Any:
    """A PeftModel over this skeleton, or the one that is there already, with one more adapter."""
    from peft import LoraConfig, PeftModel, get_peft_model, set_peft_model_state_dict  # seconds
    from safetensors.torch import load_file

    folder = Path(adapter.path)
    try:
        config: dict[str, Any] = json.loads((folder / CONFIG).read_bytes())
        if not alone:
            refuse_unmixable(adapter, config)
        wanted = {key: config[key] for key in _KEYS if config.get(key) is not None}
        tensors = load_file(folder / WEIGHTS)
        lora = LoraConfig(task_type="CAUSAL_LM", **wanted)
        if isinstance(model, PeftModel):
            model.add_adapter(name, lora)
        else:
            model = get_peft_model(model, lora, adapter_name=name)
        report: Any = set_peft_model_state_dict(model, tensors, adapter_name=name)
    except (OSError, ValueError, TypeError, RuntimeError, KeyError, SafetensorError) as error:
        raise broken(adapter, str(error).strip().partition("\n")[0]) from error
    if report.unexpected_keys:
        raise broken(adapter, f"The model has no place for {report.unexpected_keys[0]}")
    return model


def _unscalable(adapter: AdapterInfo) -> EngineError:
    return fault(
        "adapter_unscalable",
        f"{adapter.name} cannot be weighted",
        "DoRA learns how long each row of a matrix is, beside its LoRA part, so a share of it is not defined",
        "Set its weight to 1",
    )
