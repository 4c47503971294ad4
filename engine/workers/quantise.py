"""Loads a model with packed weights: a layer at a time, so that both copies are never whole in memory."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from engine.protocol.errors import fault
from engine.protocol.specs import Quant
from engine.workers import pace, packed_cache
from engine.workers.bnb import bitsandbytes, bnb_linear, is_bnb, state_bytes
from engine.workers.bnb import settle as settle_bnb
from engine.workers.convert import kept_whole, stored_dtype
from engine.workers.device import dtype_name
from engine.workers.load import Progress, place, settle, weight_bytes
from engine.workers.packed import KINDS, LEAST_OUT, Int8Linear, PackedLinear, kernel_dtype
from engine.workers.pages import SourcePages

FOR_CPU = frozenset(KINDS)
PACK_FROM, PACK_TO = 0.1, 0.8
"""Shares of the progress between which layers are packed."""
_READ = 16 << 20
"""Bytes of the source that are read before their pages are given back."""
_SLOW_BNB = "{quant} saves memory on a CPU and costs speed; int8 and int4 give both"
_SLOW = "{quant} only saves memory here: one token takes {times:.1f} times as long as in {dtype}"


@dataclass(frozen=True)
class Packing:
    """How a model's layers came to be packed."""

    quant: Quant
    layers: int
    """Packed ones."""
    left: int
    """Linear layers of the language part that stayed as they were: their shape does not fit."""
    kept: bool
    """Whether they came from the disk, packed by an earlier load."""
    seconds: float
    gain: float
    """How many times as fast the kernel computes one token's row as plain weights; 0 is not measured."""
    why: str = ""
    """What a person should know of it; mostly nothing."""


class Learner(Protocol):
    """A run that looks at each layer before and after it is packed by bitsandbytes."""

    def placed(self, model: PreTrainedModel) -> None:
        """The weights are mapped, and none is packed yet."""
        ...

    def packing(self, path: str, source: nn.Linear) -> None:
        """About to be packed; may give the layer another weight."""
        ...

    def packed(self, path: str, source: nn.Linear, made: nn.Module) -> None:
        """What became of it."""
        ...


class Place(NamedTuple):
    """A layer to pack, and where it sits."""

    path: str
    parent: nn.Module
    source: nn.Linear
    kind: type[PackedLinear] | None
    """None is bitsandbytes."""

    @property
    def attribute(self) -> str:
        return self.path.rpartition(".")[2]


def check(quant: Quant, name: str, device: torch.device) -> None:
    """Raises EngineError `quant_unsupported`, `quant_missing` where this machine cannot do it."""
    if quant in FOR_CPU:
        if device.type != "cpu":
            other = "nf4" if quant == "int4" else "bnb8"
            raise fault(
                "quant_unsupported",
                f"{name} cannot be loaded as {quant} on this GPU",
                "Its kernels are made for CPUs",
                f"Use --quant {other}",
            )
        return
    bitsandbytes(quant)


def load_packed(
    folder: Path,
    name: str,
    config: PretrainedConfig,
    dtype: torch.dtype,
    device: torch.device,
    quant: Quant,
    step: Progress,
    learner: Learner | None = None,
) -> tuple[PreTrainedModel, Packing]:
    """The model for inference, its linear layers packed; `dtype` is what it computes in.

    With a `learner`, layers of bitsandbytes keep the form that gradients pass through.

    Raises EngineError: `quant_unsupported`, `quant_missing`, `model_broken`, and what `step` raises.
    """
    check(quant, name, device)
    began, pages = time.monotonic(), SourcePages(folder)
    stored = stored_dtype(folder, dtype)  # converting while mapping would make a whole second copy
    model = place(folder, name, config, stored, device, _part(step, 0.0, PACK_FROM))
    model.requires_grad_(False)
    model.eval()
    places = list(_places(model, quant))
    if not any(spot.source.out_features >= LEAST_OUT for spot in places):
        raise fault(
            "quant_unsupported",
            f"{name} cannot be loaded as {quant}",
            "No layer of it has a shape that fits",
            "Load it with --quant none",
        )
    if learner is not None:
        learner.placed(model)
    layers = len(places)
    left = _linears(model) - layers
    key = packed_cache.cache_key(folder, quant, kernel_dtype(dtype)) if quant in FOR_CPU else ""
    kept = _from_disk(key, places, dtype)
    if not kept:
        _pack(places, quant, dtype, device, _part(step, PACK_FROM, PACK_TO), name, pages, learner)
        step(PACK_TO, "keeping the packed weights")
        packed_cache.keep(key, _tensors(model))
    _rest(model, dtype, kept_whole(model))
    pages.drop()
    settle(model, device, _part(step, PACK_TO, 1.0), pages)
    gain, why = (0.0, "") if learner else _measured(model, quant, dtype, device)
    return model, Packing(quant, layers, left, kept, time.monotonic() - began, gain, why)


def held_bytes(model: nn.Module) -> int:
    """Bytes of the weights, with the scales that bitsandbytes hides from torch."""
    return weight_bytes(model) + sum(state_bytes(module) for module in model.modules() if is_bnb(module))


def is_packed(module: nn.Module) -> bool:
    """Whether the module holds quantised weights: ours or bitsandbytes'."""
    return isinstance(module, PackedLinear) or is_bnb(module)


def _places(model: PreTrainedModel, quant: Quant) -> Iterator[Place]:
    """Linear layers of the language part that fit; ours take the head along, in 8 bits."""
    inner = {id(module) for module in _decoder(model).modules()}
    head = model.get_output_embeddings()
    modules = dict(model.named_modules())
    for path, module in modules.items():
        if not _plain_linear(module) or not path:
            continue
        assert isinstance(module, nn.Linear)
        kind = KINDS.get(quant)
        if module is head:
            kind = Int8Linear if kind else None
            if kind is None:
                continue
        elif id(module) not in inner or module.out_features < LEAST_OUT:
            continue
        if kind is None or kind.fits(module):
            yield Place(path, modules[path.rpartition(".")[0]], module, kind)


def _linears(model: PreTrainedModel) -> int:
    inner = {id(module) for module in _decoder(model).modules()}
    head = model.get_output_embeddings()
    return sum(isinstance(m, nn.Linear) and (id(m) in inner or m is head) for m in model.modules())


def _decoder(model: PreTrainedModel) -> nn.Module:
    decoder: nn.Module = model.get_decoder()  # type: ignore[operator]
    return decoder


def _plain_linear(module: nn.Module) -> bool:
    """nn.Linear, or a class that computes the same in its own words (Falcon's)."""
    return isinstance(module, nn.Linear) and type(module).__name__ in ("Linear", "FalconLinear")


def _pack(
    places: list[Place],
    quant: Quant,
    dtype: torch.dtype,
    device: torch.device,
    step: Progress,
    name: str,
    pages: SourcePages,
    learner: Learner | None,
) -> None:
    """Put a packed layer in the place of each, and let go of what was read for it."""
    whole = sum(spot.source.weight.nbytes for spot in places) or 1
    done = read = 0
    while places:
        spot = places.pop(0)
        step(done / whole, f"packing the weights as {quant}")
        weight = spot.source.weight
        done, read = done + weight.nbytes, read + weight.nbytes
        if spot.kind is None:
            made = _bnb(spot, quant, dtype, device, learner)
        else:
            made = spot.kind(spot.source, dtype)
            assert isinstance(made, PackedLinear)
            made.pack(weight.detach(), kernel_dtype(dtype))
            _refuse_wild(made, name)
        setattr(spot.parent, spot.attribute, made)
        if read >= _READ or not places:
            pages.drop()
            read = 0


def _bnb(
    spot: Place, quant: Quant, dtype: torch.dtype, device: torch.device, learner: Learner | None
) -> nn.Module:
    if learner is None:
        return bnb_linear(spot.source, quant, dtype, device)
    learner.packing(spot.path, spot.source)
    made = bnb_linear(spot.source, quant, dtype, device, learns=True)
    learner.packed(spot.path, spot.source, made)
    return made


def _refuse_wild(layer: PackedLinear, name: str) -> None:
    if not torch.isfinite(layer.scales).all():
        raise fault(
            "model_broken",
            f"{name} cannot be loaded",
            "Its weights hold values that are no numbers",
            "Download the model again",
        )


def _from_disk(key: str, places: list[Place], dtype: torch.dtype) -> bool:
    """Fill the layers from what an earlier load kept; says whether it could."""
    if not key:
        return False
    made = {spot.path: spot.kind(spot.source, dtype) for spot in places if spot.kind is not None}
    kernels = kernel_dtype(dtype)
    layout = {
        f"{path}.{name}": shape
        for path, layer in made.items()
        for name, shape in layer.layout(kernels).items()
    }
    tensors = packed_cache.read(key, layout)
    if tensors is None:
        return False
    for spot in places:
        layer = made[spot.path]
        layer.fill({name: tensors[f"{spot.path}.{name}"] for name in layer.layout(kernels)})
        setattr(spot.parent, spot.attribute, layer)
    places.clear()
    return True


def _tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    return {
        f"{path}.{name}": tensor
        for path, module in model.named_modules()
        if isinstance(module, PackedLinear)
        for name, tensor in module.tensors().items()
    }


def _rest(model: PreTrainedModel, dtype: torch.dtype, whole: re.Pattern[str] | None) -> None:
    """Everything that is not packed, in the dtype that the model computes in."""
    for name, parameter in model.named_parameters():
        if is_packed(model.get_submodule(name.rpartition(".")[0])):
            continue
        if parameter.is_floating_point() and parameter.dtype != dtype and not (whole and whole.search(name)):
            parameter.data = parameter.data.to(dtype)
    model.config.dtype = dtype
    model.config.get_text_config(decoder=True).dtype = dtype


def _measured(
    model: PreTrainedModel, quant: Quant, dtype: torch.dtype, device: torch.device
) -> tuple[float, str]:
    """Choose the faster ways of computing; returns the gain, and one sentence where there is none."""
    ours = [module for module in model.modules() if isinstance(module, PackedLinear)]
    if not ours:
        for module in model.modules():
            if is_bnb(module):
                settle_bnb(module, dtype, device)
        return 0.0, _SLOW_BNB.format(quant=quant) if device.type == "cpu" else ""
    pace.choose(ours)
    inner = {id(module) for module in _decoder(model).modules()}
    largest = max(ours, key=lambda layer: (id(layer) in inner, layer.in_features * layer.out_features))
    gain = pace.gain(largest, dtype)
    if gain >= 1:
        return gain, ""
    return gain, _SLOW.format(quant=quant, times=1 / gain, dtype=dtype_name(dtype))


def _part(step: Progress, first: float, last: float) -> Progress:
    """The same progress, between two shares of the whole."""
    return lambda fraction, phase: step(first + (last - first) * min(1.0, fraction), phase)
