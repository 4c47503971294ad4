"""`qwill bench quality`: what packing costs in quality, against the same model in plain weights."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch.nn import functional

from engine.backend import LoadSpec
from engine.benching import BenchJob, QualityBench
from engine.protocol.errors import fault
from engine.protocol.specs import Quant
from engine.workers.device import give_back_memory, use_threads
from engine.workers.loaded import LoadedModel, load

TEXT = Path(__file__).with_name("quality.txt")
"""Plain prose, a recipe, a sum and some code; written for this, so no model knows it by heart."""
WINDOW = 256
"""Tokens that a prediction can see at most."""

Told = Callable[[str], None]


class Read(NamedTuple):
    """What a model made of the text, of each token but the first of a window."""

    loss: float
    """Mean negative log-likelihood of a token, in nats."""
    likeliest: torch.Tensor
    """int64 `[tokens]`: what it would have said."""
    tokens: int


def measure_quality(job: BenchJob, told: Told) -> QualityBench:
    """Read the text with plain and with packed weights, one after the other.

    Raises EngineError, as a load does, and `bench_unsupported` where nothing is packed.
    """
    if not job.quant:
        raise fault(
            "bench_unsupported",
            "There is nothing to compare",
            "Plain weights are what packed ones are held against",
            "Choose one by --quant int8, int4, nf4 or bnb8",
        )
    use_threads(job.model.parameters)
    plain, plain_bytes, dtype = _read(job, "", told)
    packed, packed_bytes, _ = _read(job, job.quant, told)
    same = (plain.likeliest == packed.likeliest).float().mean()
    return QualityBench(
        model=job.model.id,
        quant=job.quant,
        dtype=dtype,
        tokens=plain.tokens,
        perplexity=_perplexity(packed),
        plain_perplexity=_perplexity(plain),
        agreement=float(same),
        memory=packed_bytes,
        plain_memory=plain_bytes,
    )


def read_text(loaded: LoadedModel, text: str, window: int = WINDOW) -> Read:
    """Teacher-forced over the whole text, in windows that begin afresh."""
    ids = loaded.vocabulary.tokenizer(text, add_special_tokens=False)["input_ids"]
    losses, likeliest = [], []
    for start in range(0, len(ids) - 1, window):
        row = torch.tensor([ids[start : start + window]], device=loaded.model.device)
        if row.shape[1] < 2:
            break
        with torch.inference_mode():
            logits = loaded.model(input_ids=row, use_cache=False).logits[0, :-1].float()
        losses.append(functional.cross_entropy(logits, row[0, 1:], reduction="none").cpu())
        likeliest.append(logits.argmax(-1).cpu())
    loss, best = torch.cat(losses), torch.cat(likeliest)
    return Read(float(loss.mean()), best, len(best))


def _read(job: BenchJob, quant: Quant, told: Told) -> tuple[Read, int, str]:
    """What the model made of it, the bytes of its weights, and the dtype that it computes in."""
    told(f"loading the model{' as ' + quant if quant else ''}")
    spec = LoadSpec(job.model, job.dtype, quant)
    loaded = load(spec, 1, lambda _fraction, phase: told(phase), threading.Event())
    told("reading the text")
    read = read_text(loaded, TEXT.read_text("utf-8"))
    memory, dtype = loaded.info.memory, loaded.info.load_dtype
    del loaded
    give_back_memory()
    return read, memory, dtype


def _perplexity(read: Read) -> float:
    return float(torch.tensor(read.loss).exp())
