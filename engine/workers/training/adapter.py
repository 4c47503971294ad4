"""A LoRA adapter on a copy of the model's skeleton, and its PEFT folder on disk."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save
from torch import nn

from engine.files import write_atomic
from engine.models.adapters import CONFIG, NOTE, WEIGHTS
from engine.protocol.errors import fault
from engine.protocol.runs import TrainSpec
from engine.protocol.specs import ModelInfo

_ATTENTION = ("attn", "attention")
_MLP = ("mlp", "feed_forward", "ffn")


def skeleton(pristine: nn.Module) -> Any:
    """A model of its own modules on the same weights: about 1 MB, whatever the size of the model.

    The pristine one is never wrapped, so an adapter put into one copy is unknown to every other copy.
    """
    return copy.deepcopy(pristine, {id(parameter): parameter for parameter in pristine.parameters()})


def with_lora(pristine: nn.Module, spec: TrainSpec, base: str) -> Any:
    """A PeftModel over a new skeleton, only its adapter trainable (A drawn by the spec's seed, B zero).

    Raises EngineError `no_targets` when the model has no matching linear layers.
    """
    targets = target_names(pristine, spec.targets)
    if not targets:
        raise fault(
            "no_targets",
            f"This model has no {spec.targets} layers that an adapter could sit on",
            remedy="Choose other `targets`",
        )
    config = LoraConfig(
        task_type="CAUSAL_LM",
        base_model_name_or_path=base,
        r=spec.rank,
        lora_alpha=spec.alpha or 2 * spec.rank,
        lora_dropout=spec.dropout,
        target_modules=targets,
    )
    torch.manual_seed(spec.seed)
    return get_peft_model(skeleton(pristine), config)


def target_names(model: nn.Module, targets: str) -> list[str]:
    """Names of the linear layers in attention and MLP blocks, e.g. `q_proj`; the head is never one."""
    wanted = (_ATTENTION if "attention" in targets else ()) + (_MLP if "mlp" in targets else ())
    names = set()
    for path, module in model.get_decoder().named_modules():  # type: ignore[operator]
        parents, _, name = path.rpartition(".")
        if isinstance(module, nn.Linear) and any(word in parents for word in wanted):
            names.add(name)
    return sorted(names)


def adapter_parameters(model: nn.Module, spec: TrainSpec) -> int:
    """How many parameters `with_lora` would add, without adding them."""
    targets = set(target_names(model, spec.targets))
    parameters = 0
    for path, module in model.get_decoder().named_modules():  # type: ignore[operator]
        if isinstance(module, nn.Linear) and path.rpartition(".")[2] in targets:
            parameters += spec.rank * (module.in_features + module.out_features)
    return parameters


def save_adapter(model: Any, folder: Path, note: dict[str, Any], card: str) -> None:
    """Write a PEFT folder; each file is the old one or the new one. Raises OSError, the last state kept."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    tensors = {
        name: tensor.detach().to("cpu", copy=True).contiguous()
        for name, tensor in get_peft_model_state_dict(model, save_embedding_layers=False).items()
    }
    config = model.peft_config["default"].to_dict() | {"inference_mode": True}
    # The weights last: a folder without them is not listed as an adapter.
    write_atomic(folder / CONFIG, json.dumps(config, indent=2, default=_plain).encode())
    write_atomic(folder / NOTE, json.dumps(note, indent=2).encode())
    write_atomic(folder / "README.md", card.encode())
    write_atomic(folder / WEIGHTS, save(tensors, metadata={"format": "pt"}))


def model_card(spec: TrainSpec, model: ModelInfo, facts: dict[str, str]) -> str:
    """A Hugging Face model card: what it was trained on, how, and what came out."""
    rows = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    base = f"base_model: {model.id}\n" if model.source == "hub" else ""
    return (
        f"---\nlibrary_name: peft\n{base}tags: [lora, qwill]\n---\n\n# {spec.name}\n\n"
        f"A LoRA adapter for {model.name}, trained with Qwill. Load it with "
        f"`PeftModel.from_pretrained(base, folder)`.\n\n| | |\n|---|---|\n{rows}\n"
    )


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, set) else str(value)
