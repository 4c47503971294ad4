"""Loads a model from a local folder: safetensors only, remote code never, with progress and cancel."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    PretrainedConfig,
    PreTrainedModel,
)
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING
from transformers.utils import logging as transformers_logging

from engine.models.describe import SEEING
from engine.protocol.errors import EngineError, fault
from engine.workers.attention import use_own_attention
from engine.workers.claims import check_layers, check_shapes
from engine.workers.convert import convert, stored_dtype
from engine.workers.device import is_out_of_memory, out_of_memory
from engine.workers.outline import Outline
from engine.workers.pages import SourcePages

Progress = Callable[[float, str], None]
_PAGE = 4096
_DROPS = 200
"""Times in a load that pages of the files are dropped, about."""
_MOVED = 64 << 20
"""Bytes moved to the device between two such times."""
BRIEF = 200
"""Characters of a library's error shown to a person."""
READ_SHARE = 0.6
"""Share of the progress when the tensors are placed; the rest is reading their pages."""


def build_config(raw: dict[str, Any], name: str) -> PretrainedConfig:
    """The config of a type that transformers itself implements.

    Raises EngineError `unknown_architecture`, `model_broken`.
    """
    family = str(raw.get("model_type") or "")
    if family not in CONFIG_MAPPING:
        raise fault(
            "unknown_architecture",
            f"{name} cannot be loaded",
            f"The installed transformers has no model type {family or 'without a name'}, "
            "and Qwill never runs code out of a model's folder",
            "Choose another model, or update Qwill",
        )
    try:
        config = CONFIG_MAPPING[family].from_dict(raw)
    except Exception as error:  # a config of its own checks its values, each class in its own way
        raise fault(
            "model_broken",
            f"{name} cannot be loaded",
            f"Its config.json has wrong values: {_brief(error)}",
            "Download the model again",
        ) from error
    if family not in SEEING and type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise fault(
            "unknown_architecture",
            f"{name} cannot be loaded",
            f"Models of the type {family} do not write text in reply",
            "Choose a language model",
        )
    return config


def load_model(
    folder: Path,
    name: str,
    config: PretrainedConfig,
    dtype: torch.dtype,
    device: torch.device,
    progress: Progress,
    cancelled: threading.Event,
) -> PreTrainedModel:
    """The weights, on the device, for inference. Raises EngineError, `cancelled` among others."""
    step = stepping(name, progress, cancelled)
    pages = SourcePages(folder)
    with in_one_sentence(name):
        if device.type != "cpu":
            return settle(place(folder, name, config, dtype, device, step), device, step, pages)
        stored = stored_dtype(folder, dtype)
        model = place(folder, name, config, stored, device, step)
        if stored != dtype:
            convert(model, dtype, pages, lambda share, phase: step(READ_SHARE * share, phase))
        return settle(model, device, step, pages)


def stepping(name: str, progress: Progress, cancelled: threading.Event) -> Progress:
    """Progress that raises EngineError `cancelled` once the load is cancelled."""

    def step(fraction: float, phase: str) -> None:
        if cancelled.is_set():
            raise fault("cancelled", f"Loading {name} was cancelled")
        progress(fraction, phase)

    return step


@contextmanager
def in_one_sentence(name: str) -> Iterator[None]:
    """Whatever a load raises becomes an EngineError."""
    try:
        yield
    except EngineError:
        raise
    except Exception as error:  # transformers raises of any kind; the person gets one sentence
        if is_out_of_memory(error):
            raise out_of_memory(f"loading {name}", error) from error
        raise fault(
            "load_failed", f"{name} cannot be loaded", _brief(error), "Download the model again"
        ) from error


def place(
    folder: Path,
    name: str,
    config: PretrainedConfig,
    dtype: torch.dtype,
    device: torch.device,
    step: Progress,
) -> PreTrainedModel:
    """The model on the CPU with its weights mapped where the files have this dtype: nothing is read yet.

    `device`: where it will compute. Raises EngineError `model_broken` before anything is read when the
    config and the weights do not belong together.
    """
    step(0.0, "checking the shapes")
    check_shapes(name, config, _kind(config), check_layers(folder, name, config))
    with _tensors_reported(step, SourcePages(folder)), _collector_off(), Outline():
        loaded: Any = _kind(config).from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            **_attention(config),
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
        )
    model, report = loaded
    _refuse_holes(name, report)
    use_own_attention(model, device)
    placed: PreTrainedModel = model
    return placed


def weight_bytes(model: torch.nn.Module) -> int:
    """Bytes of parameters and buffers; tied ones count once."""
    tensors = [*model.parameters(), *model.buffers()]
    return sum({tensor.data_ptr(): tensor.nbytes for tensor in tensors}.values())


def _kind(config: PretrainedConfig) -> Any:
    """The class that loads it: with its vision tower where that is used, else its text part alone."""
    return AutoModelForImageTextToText if config.model_type in SEEING else AutoModelForCausalLM


def _attention(config: PretrainedConfig) -> dict[str, str]:
    """The model's default (mostly SDPA), but eager where scores are capped, which SDPA cannot do."""
    text = config.get_text_config(decoder=True)
    return {"attn_implementation": "eager"} if getattr(text, "attn_logit_softcapping", None) else {}


def settle(
    model: PreTrainedModel, device: torch.device, step: Progress, pages: SourcePages | None = None
) -> PreTrainedModel:
    """Move to the device; on the CPU read the mapped files now, or the first reply waits for the disk."""
    model.requires_grad_(False)
    model.eval()
    if device.type != "cpu":
        return _moved(model, device, step, pages)
    tensors = [*model.parameters(), *model.buffers()]
    whole = sum(tensor.nbytes for tensor in tensors) or 1
    done = 0
    for tensor in tensors:
        step(READ_SHARE + (1 - READ_SHARE) * done / whole, "reading the weights")
        stride = max(1, _PAGE // tensor.element_size())
        tensor.detach().reshape(-1)[::stride].sum()
        done += tensor.nbytes
    return model


def _moved(
    model: PreTrainedModel, device: torch.device, step: Progress, pages: SourcePages | None
) -> PreTrainedModel:
    """One module after another, so that what is on the device leaves the memory of the host at once."""
    whole = sum(tensor.nbytes for tensor in model.parameters()) or 1
    done = kept = 0
    for module in model.modules():
        step(READ_SHARE + (1 - READ_SHARE) * min(1.0, done / whole), "moving to the device")
        here = sum(tensor.nbytes for tensor in module.parameters(recurse=False))
        module._apply(lambda tensor: tensor.to(device), recurse=False)
        done, kept = done + here, kept + here
        if pages is not None and kept >= _MOVED:
            pages.drop()
            kept = 0
    model.tie_weights()
    return model


def _refuse_holes(name: str, report: dict[str, Any]) -> None:
    """Weights that the files lack would be random ones."""
    missing = sorted(report.get("missing_keys") or ())
    if missing:
        raise fault(
            "model_broken",
            f"{name} cannot be loaded",
            f"Its files lack {len(missing)} tensors, such as {missing[0]}",
            "Download the model again",
        )


@contextmanager
def _collector_off() -> Iterator[None]:
    """A load makes many objects and no garbage; the first one imports, too."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def _tensors_reported(step: Progress, pages: SourcePages) -> Iterator[None]:
    """Turn transformers' progress bar over the tensors into our progress, and a place to cancel."""

    def hook(_factory: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return _Reported(args[0] if args else kwargs.get("iterable", ()), step, pages)

    previous = transformers_logging.set_tqdm_hook(hook)
    try:
        yield
    finally:
        transformers_logging.set_tqdm_hook(previous)


class _Reported:
    """The part of tqdm that the loader uses."""

    def __init__(self, items: Iterable[Any], step: Progress, pages: SourcePages) -> None:
        self._items = list(items)
        self._step = step
        self._pages = pages

    def __iter__(self) -> Iterator[Any]:
        often = max(1, len(self._items) // _DROPS)
        for place, item in enumerate(self._items):
            self._step(READ_SHARE * place / len(self._items), "placing the weights")
            if place % often == 0:
                # What was converted to another dtype is not read again; the rest comes back when it is read.
                self._pages.drop()
            yield item
        self._pages.drop()

    def update(self, count: int = 1) -> None: ...

    def set_postfix(self, *args: Any, **kwargs: Any) -> None: ...

    def close(self) -> None: ...

    def __enter__(self) -> _Reported:
        return self

    def __exit__(self, *error: object) -> None: ...


def _brief(error: Exception) -> str:
    """A library's words on one line, not all of them."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= BRIEF else text[: BRIEF - 1] + "…"
