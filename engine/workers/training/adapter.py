"""A LoRA adapter on a copy of the model's skeleton, and its PEFT folder on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from peft import get_peft_model, get_peft_model_state_dict
from safetensors.torch import save
from torch import Tensor, nn

from engine.data.methods import MUTATING, title
from engine.files import clear_unfinished, write_atomic
from engine.models.adapters import CONFIG, NOTE, WEIGHTS
from engine.protocol.runs import TrainSpec
from engine.protocol.specs import ModelInfo
from engine.workers.bnb import is_bnb
from engine.workers.training.dropout import Moment, MomentDropout, without_own_dropout
from engine.workers.training.initialise import (
    ADAPTER,
    Start,
    begin_at,
    draw,
    lora_layers,
    residual,
    start_of,
    whole_magnitudes,
)
from engine.workers.training.lora_config import lora_config, refused
from engine.workers.training.plain import plain_lora
from engine.workers.training.targets import adapter_parameters, skeleton, target_names

__all__ = [
    "adapter_parameters",
    "model_card",
    "save_adapter",
    "skeleton",
    "start_adapter",
    "target_names",
    "with_lora",
]


def with_lora(pristine: nn.Module, spec: TrainSpec, base: str, moment: Moment | None = None) -> Any:
    """A PeftModel over a new skeleton, only its adapter trainable: A drawn by the spec's seed, B zero.

    Raises EngineError `no_targets`, and `spec_wrong` for raw keys that PEFT refuses.
    """
    copied = skeleton(pristine)
    without_own_dropout(copied)
    _tell_packing(copied)
    config = lora_config(copied, spec, base)
    try:
        model = get_peft_model(copied, config)
    except (TypeError, ValueError) as error:
        raise refused(spec, str(error)) from error
    draw(model, spec.seed, gaussian=config.init_lora_weights == "gaussian")
    whole_magnitudes(model)
    _own_dropout(model, moment or Moment(spec.seed))
    return model


def start_adapter(model: Any, spec: TrainSpec, packed: Mapping[str, Start]) -> dict[str, Start]:
    """Let PiSSA, OLoRA or LoftQ begin; returns what was taken out of each layer, nothing for others.

    `packed`: starts that were taken before the base was packed. Elsewhere a touched layer gets weights of
    its own, so that the ones that the chat shares never move.
    """
    starts: dict[str, Start] = {}
    if spec.method not in MUTATING:
        return starts
    for path, layer in lora_layers(model):
        start = packed.get(path)
        if start is None:
            base = layer.get_base_layer()
            start = start_of(spec.method, base.weight, spec.rank, spec.seed)
            base.weight = nn.Parameter(residual(base.weight, start), requires_grad=False)
        begin_at(layer, start)
        starts[path] = start
    return starts


def save_adapter(
    model: Any, folder: Path, note: dict[str, Any], card: str, starts: Mapping[str, Start] | None = None
) -> None:
    """Write a PEFT folder; each file is the old one or the new one. Raises OSError, the last state kept.

    `starts`: what `start_adapter` gave; such a run is written as a plain LoRA of twice the rank.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    clear_unfinished(folder)
    changes: dict[str, Any] = {}
    if starts:
        tensors, changes = plain_lora(model, dict(starts))
    else:
        tensors = _tensors(model)
    config = model.peft_config[ADAPTER].to_dict() | {"inference_mode": True} | changes
    # A start that is told again at loading would be drawn again, for nothing.
    config |= {"init_lora_weights": True}
    # The weights last: a folder without them is not listed as an adapter.
    write_atomic(folder / CONFIG, json.dumps(config, indent=2, default=_json).encode())
    write_atomic(folder / NOTE, json.dumps(note, indent=2).encode())
    write_atomic(folder / "README.md", card.encode())
    write_atomic(folder / WEIGHTS, save(tensors, metadata={"format": "pt"}))


def model_card(spec: TrainSpec, model: ModelInfo, facts: dict[str, str]) -> str:
    """A Hugging Face model card: what it was trained on, how, and what came out."""
    rows = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    base = f"base_model: {model.id}\n" if model.source == "hub" else ""
    if spec.method == "full":
        head = f"---\nlibrary_name: transformers\n{base}tags: [qwill]\n---\n\n# {spec.name}\n\n"
        what = (
            f"{model.name} with all of its weights trained by Qwill. Load it with "
            "`AutoModelForCausalLM.from_pretrained(folder)`."
        )
    else:
        head = f"---\nlibrary_name: peft\n{base}tags: [lora, qwill]\n---\n\n# {spec.name}\n\n"
        what = (
            f"A {title(spec)} adapter for {model.name}, trained with Qwill. Load it with "
            "`PeftModel.from_pretrained(base, folder)`."
        )
        if spec.method in MUTATING:
            what += (
                f"\n\nIt was trained at rank {spec.rank} and is written as a plain LoRA of rank "
                f"{2 * spec.rank}, so that it works on the untouched base."
            )
    return f"{head}{what}\n\n| | |\n|---|---|\n{rows}\n"


def _tell_packing(model: Any) -> None:
    """PEFT asks the model, not its layers, how it is packed."""
    kinds = {type(module).__name__ for module in model.modules() if is_bnb(module)}
    if "Linear4bit" in kinds:
        model.is_loaded_in_4bit = True
    if "Linear8bitLt" in kinds:
        model.is_loaded_in_8bit = True


def _own_dropout(model: Any, moment: Moment) -> None:
    for index, (_, layer) in enumerate(lora_layers(model)):
        for name, module in layer.lora_dropout.items():
            if isinstance(module, nn.Dropout):
                layer.lora_dropout[name] = MomentDropout(module.p, moment, index)


def _tensors(model: Any) -> dict[str, Tensor]:
    return {
        name: tensor.detach().to("cpu", copy=True).contiguous()
        for name, tensor in get_peft_model_state_dict(model, save_embedding_layers=False).items()
    }


def _json(value: Any) -> Any:
    return sorted(value) if isinstance(value, set) else str(value)
