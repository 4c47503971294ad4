"""A loaded model with all that a reply needs of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from msgspec.structs import replace
from transformers import PretrainedConfig, PreTrainedModel

from engine.backend import LoadSpec
from engine.chat.template import ChatTemplate
from engine.models.describe import TESTED
from engine.protocol.specs import ModelInfo
from engine.workers.claims import check_vocabulary
from engine.workers.defaults import ModelDefaults
from engine.workers.device import device_name, dtype_name, pick_device, pick_dtype
from engine.workers.folder import checked_config
from engine.workers.load import build_config, in_one_sentence, load_model, stepping
from engine.workers.probe import agrees_with_generate
from engine.workers.quantise import Learner, Packing, held_bytes, load_packed
from engine.workers.vocabulary import Vocabulary, end_ids

UNKNOWN_CONTEXT = 2048
"""Tokens, for a model that does not say how many it was made for."""
_SLOW = "Its type does not work with a reused cache, so it is slow"


@dataclass(frozen=True)
class LoadedModel:
    """Weights, vocabulary and what they can do."""

    info: ModelInfo
    serial: int
    """Another number for each load; a KV cache belongs to one."""
    model: PreTrainedModel
    vocabulary: Vocabulary
    defaults: ModelDefaults
    cacheable: bool
    """Whether our loop with a KV cache computes what `generate` does."""
    packing: Packing | None = None
    """How its layers were packed; None when they were not."""


def load(
    spec: LoadSpec,
    serial: int,
    progress: Callable[[float, str], None],
    cancelled: threading.Event,
    learner: Learner | None = None,
) -> LoadedModel:
    """Check the folder, load tokenizer and weights. Raises EngineError; small files come first.

    `learner`: a run that packed weights are for, which then keep a form that gradients pass through.
    """
    asked = spec.model
    folder = Path(asked.path)
    progress(0.0, "checking the files")
    device = torch.device(spec.device) if spec.device else pick_device()
    dtype = pick_dtype(spec.dtype, device)
    config = build_config(checked_config(folder, asked.name), asked.name)
    template = ChatTemplate.load(folder)
    vocabulary = Vocabulary.load(folder, template, ())
    known = vocabulary.tokenizer.vocab_size
    check_vocabulary(asked.name, known, config.get_text_config(decoder=True).vocab_size)
    packing = None
    if spec.quant:
        step = stepping(asked.name, progress, cancelled)
        with in_one_sentence(asked.name):
            model, packing = load_packed(folder, asked.name, config, dtype, device, spec.quant, step, learner)
    else:
        model = load_model(folder, asked.name, config, dtype, device, progress, cancelled)
    vocabulary = Vocabulary(vocabulary.tokenizer, template, end_ids(model.generation_config), vocabulary.eyes)
    tested = asked.family in TESTED or config.model_type in TESTED
    if not tested:
        progress(1.0, "comparing with transformers")
    cacheable = tested or agrees_with_generate(model)
    thinking = template.thinking if template is not None else "never"
    defaults = ModelDefaults.read(folder, config.model_type, thinking)
    info = replace(
        asked,
        state="ready",
        progress=1.0,
        memory=held_bytes(model),
        device=device_name(device),
        load_dtype=dtype_name(dtype),
        quant=spec.quant,
        context=asked.context or _context(model.config),
        thinking=thinking,
        chat=template is not None,
        why=asked.why if cacheable else _SLOW,
        note=packing.why if packing else "",
        defaults=defaults.thinking,
        plain_defaults=defaults.plain,
    )
    return LoadedModel(info, serial, model, vocabulary, defaults, cacheable, packing)


def _context(config: PretrainedConfig) -> int:
    text = config.get_text_config(decoder=True)
    for key in ("max_position_embeddings", "n_positions", "max_sequence_length", "seq_length"):
        value = getattr(text, key, None)
        if isinstance(value, int) and value > 0:
            return value
    return UNKNOWN_CONTEXT
