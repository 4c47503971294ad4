"""What a run needs of a loaded model."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from weakref import WeakValueDictionary

import torch
from msgspec.structs import replace
from transformers import PreTrainedModel

from engine.backend import LoadSpec
from engine.data.methods import MUTATING
from engine.models import footprint
from engine.models.shape import size_of
from engine.monitor.available import available_ram
from engine.protocol.errors import EngineError, fault
from engine.protocol.specs import ModelInfo
from engine.protocol.training import TrainSpec
from engine.workers.device import dtype_name, fast_bfloat16, pick_device, pick_dtype
from engine.workers.loaded import LoadedModel, load
from engine.workers.training.initialise import Start
from engine.workers.training.labels import Labeller
from engine.workers.training.quantised_base import PackedStarts
from engine.workers.training.whereabouts import run_device, same
from engine.workers.vocabulary import Vocabulary

HEADROOM = 512 << 20
"""Bytes left free beside a run's own weights, for its activations and the rest of the machine."""


@dataclass(frozen=True)
class Base:
    """The pristine skeleton, which owns the weights and is never wrapped, with its vocabulary."""

    pristine: PreTrainedModel
    labeller: Labeller
    reference: str
    """How an adapter names it: the hub id, or the folder."""
    folder: Path = Path()
    """Where its files are."""
    starts: Mapping[str, Start] = field(default_factory=dict)
    """What a method took out of layers before they were packed, by path."""
    own: int = 0
    """Bytes of weights that were loaded for the run, beside the chat's."""

    @classmethod
    def of(cls, loaded: LoadedModel) -> Base:
        """Raises EngineError `no_template` for a model that cannot hold a chat."""
        info = loaded.info
        return cls(loaded.model, labeller(loaded.vocabulary, info), reference(info), Path(info.path))

    @classmethod
    def for_run(
        cls, loaded: LoadedModel, spec: TrainSpec, cancelled: threading.Event, loading: Callable[[], object]
    ) -> Base:
        """The chat's weights where a run can share them, else its own; `loading` is called before those.

        Raises EngineError `run_too_large`, `method_unsupported`, `dtype_unsupported`, `device_unknown`, and
        what fails a load.
        """
        device = run_device(spec.device, loaded.model.device)
        check_here(spec, device)
        if shares_weights(loaded.info, spec) and same(device, loaded.model.device):
            return cls.of(loaded)
        loading()
        starts = PackedStarts(spec)
        own = own_base(loaded.info, cancelled, spec, starts, device)
        made = cls.of(own)
        held = own.info.memory
        return cls(made.pristine, made.labeller, made.reference, made.folder, starts.taken, held)

    @property
    def device(self) -> torch.device:
        return self.pristine.device


class SharedBases:
    """Bases that runs load for themselves; those that take turns hold one together while any lives."""

    def __init__(self) -> None:
        self._held: WeakValueDictionary[tuple[str, str, str, str], Base] = WeakValueDictionary()

    def get(self, info: ModelInfo, spec: TrainSpec, make: Callable[[], Base], *, apart: bool = False) -> Base:
        """The base that another run made, where both would make the same; else what `make` returns.

        `apart`: the run learns on another device than the chat's.
        """
        shares = shares_weights(info, spec) and not apart
        if shares or spec.method in MUTATING or spec.method == "full":
            return make()
        key = (info.id, spec.quant, spec.dtype, spec.device)
        found = self._held.get(key)
        if found is None:
            found = self._held[key] = make()
        return found


def shares_weights(info: ModelInfo, spec: TrainSpec) -> bool:
    """Whether a run can learn on the weights as the chat has them: whole, in the dtype it asks for."""
    # A full run clones in its own dtype anyway.
    asked = "" if spec.method == "full" else spec.dtype
    return not info.quant and not spec.quant and asked in ("", info.load_dtype)


def own_bytes(info: ModelInfo, spec: TrainSpec, dtype: torch.dtype, *, apart: bool = False) -> int:
    """Bytes of the weights that a run holds beside the chat's; `dtype`: what it computes in.

    `apart`: it learns on another device than the chat's.
    """
    shares = shares_weights(info, spec) and not apart
    own = 0 if shares else _held(info, spec.quant or dtype_name(dtype), dtype)
    if spec.method == "full":
        own += _held(info, spec.dtype or "float32")
    elif shares and spec.method in MUTATING:  # its layers are clones, so that the chat's stay as they are
        own += _held(info, dtype_name(dtype))
    return own


def _held(info: ModelInfo, kind: str, dtype: torch.dtype = torch.bfloat16) -> int:
    """Bytes of the weights held as `kind`; `dtype`: of what stays whole in a packed model."""
    size = size_of(info)
    held = footprint.weights(size, kind).held
    if kind not in ("nf4", "bnb8") or size.shape is None:
        return held
    whole = size.tower + size.experts + size.shape.embedding * (1 if size.shape.tied else 2)
    return held + whole * (dtype.itemsize - torch.bfloat16.itemsize)


def check_here(spec: TrainSpec, device: torch.device) -> None:
    """Raises EngineError `method_unsupported`, `dtype_unsupported` for what this machine cannot do."""
    if spec.method == "loftq" and device.type != "cuda":
        raise fault(
            "method_unsupported",
            "LoftQ needs a GPU",
            "It decomposes what packing lost of every matrix, which takes a CPU hours",
            "Set `method` to pissa with quant nf4, which starts from the weights themselves",
        )
    if spec.dtype == "bfloat16" and not fast_bfloat16(device):
        raise fault(
            "dtype_unsupported",
            "This machine does not compute in bfloat16",
            f"A {device.type} without it takes many times as long",
            "Leave `dtype` out, or set it to float32",
        )


def own_base(
    info: ModelInfo,
    cancelled: threading.Event,
    spec: TrainSpec | None = None,
    starts: PackedStarts | None = None,
    device: torch.device | None = None,
) -> LoadedModel:
    """Weights for one run beside those that the chat keeps: whole, or packed by bitsandbytes.

    `device`: where they go; None takes the first GPU where there is one. Raises EngineError `run_too_large`
    when both do not fit, and all that fails a load.
    """
    wanted = spec or TrainSpec(info.id, "")
    device = device or pick_device()
    dtype = pick_dtype(wanted.dtype, device)
    asked = replace(info, state="available", memory=0, quant="", load_dtype="", note="")
    need = _held(info, wanted.quant or dtype_name(dtype), dtype) + HEADROOM
    free = available_ram()
    if device.type == "cpu" and need > free:
        raise _too_large(info, wanted, need, free)
    load_spec = LoadSpec(asked, dtype_name(dtype), wanted.quant, device=str(device))
    return load(load_spec, 0, lambda _fraction, _phase: None, cancelled, starts if wanted.quant else None)


def _too_large(info: ModelInfo, spec: TrainSpec, need: int, free: int) -> EngineError:
    chat = f"{info.name} is loaded as {info.quant or info.load_dtype}"
    return fault(
        "run_too_large",
        f"{chat}, and this run needs weights of its own beside it",
        f"They take {need / (1 << 30):.1f} GiB, and {free / (1 << 30):.1f} GiB are free",
        "Load the model with --quant none, or close other programs"
        if info.quant and not spec.quant
        else "Choose a smaller model, or close other programs",
    )


def labeller(vocabulary: Vocabulary, info: ModelInfo) -> Labeller:
    """For a model that cannot hold a chat too: it learns plain text, and raises `no_template` for chats."""
    return Labeller(vocabulary.tokenizer, vocabulary.template, vocabulary.stops, info.name)


def reference(info: ModelInfo) -> str:
    """What PEFT's base_model_name_or_path says."""
    return info.id if info.source == "hub" else info.path
