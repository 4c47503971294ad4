"""`qwill bench decode`: tokens/s of our loop and of `generate`, once both have computed the same ids."""

from __future__ import annotations

import threading
from collections.abc import Callable
from statistics import median

import torch
from msgspec.structs import replace

from engine.backend import LoadSpec
from engine.benching import BenchJob, DecodeBench
from engine.models import footprint
from engine.models.shape import size_of
from engine.monitor.available import available_ram
from engine.protocol.errors import fault
from engine.protocol.specs import ModelInfo, Quant
from engine.workers.bench.llama import llama_tokens_per_s
from engine.workers.bench.machine import machine
from engine.workers.bench.sides import Ours, Theirs, Timed, prompt_of
from engine.workers.device import give_back_memory, use_threads
from engine.workers.loaded import LoadedModel, load

FULL = "float32"
ROOM = 0.5
"""Share of the free memory that the float32 copy, which only checks the ids, may take."""
ENOUGH, ENOUGH_PACKED = 0.9, 0.5
"""Agreement below which the two do not compute the same model: a ratio would say nothing."""

Told = Callable[[str], None]


def measure_decode(job: BenchJob, told: Told) -> DecodeBench:
    """Measure once. Raises EngineError, as a load does, and `bench_unsupported`."""
    use_threads(job.model.parameters)
    told("measuring the memory's bandwidth")
    here = machine()
    told("loading the model")
    base = _loaded(job, job.dtype)
    same, checked = _checked(job, base, told)
    ours = base if not job.quant else _loaded(job, job.dtype, job.quant)
    left, right = _sides(ours, base, job)
    told("comparing the replies")
    agreement = left.agreement(right.reply(job.tokens).ids)
    same = agreement >= (ENOUGH_PACKED if job.quant else ENOUGH) and same is not False
    mine, other = _rounds(job, left, right, told)
    read = _bytes_read(ours.info, job)
    speed, generate = _middle(mine), _middle(other)
    result = DecodeBench(
        machine=here,
        model=job.model.id,
        dtype=ours.info.load_dtype,
        quant=job.quant,
        context=job.context,
        tokens=job.tokens,
        rounds=job.rounds,
        same=same,
        checked=checked or base.info.load_dtype,
        agreement=agreement,
        read_mb=read / 1e6,
        bandwidth_gb_s=here.bandwidth_gb_s,
        share=speed * read / (here.bandwidth_gb_s * 1e9),
        tokens_per_s=speed,
        best_tokens_per_s=max(reply.tokens_per_s for reply in mine),
        generate_dtype=base.info.load_dtype,
        generate_tokens_per_s=generate,
        generate_best_tokens_per_s=max(reply.tokens_per_s for reply in other),
        ratio=speed / generate if same else None,
    )
    return _beside_llama(result, job, base, told)


def _checked(job: BenchJob, base: LoadedModel, told: Told) -> tuple[bool | None, str]:
    """Whether both compute the same ids in float32; None where such a copy has no room."""
    full = base.info.load_dtype == FULL
    if not full and job.model.parameters * footprint.WIDTHS[FULL] > ROOM * available_ram():
        return None, ""
    told("checking in float32 that both compute the same ids")
    loaded = base if full else _loaded(job, FULL)
    ours, theirs = _sides(loaded, loaded, job)
    same = ours.reply(job.tokens).ids == theirs.plain(job.tokens)
    del loaded, ours, theirs
    give_back_memory()
    return same, FULL


def _rounds(job: BenchJob, ours: Ours, theirs: Theirs, told: Told) -> tuple[list[Timed], list[Timed]]:
    """Both sides in turn, so that whatever else the machine does meets both."""
    mine, other = [], []
    for number in range(job.rounds):
        told(f"round {number + 1} of {job.rounds}")
        other.append(theirs.reply(job.tokens))
        mine.append(ours.reply(job.tokens))
    return mine, other


def _sides(ours: LoadedModel, theirs: LoadedModel, job: BenchJob) -> tuple[Ours, Theirs]:
    prompt = prompt_of(ours.vocabulary, job.context)
    return Ours(ours, prompt), Theirs(theirs, prompt)


def _loaded(job: BenchJob, dtype: str, quant: Quant = "") -> LoadedModel:
    loaded = load(LoadSpec(job.model, dtype, quant), 1, lambda *_: None, threading.Event())
    if not loaded.cacheable or loaded.model.device.type != "cpu":
        raise fault(
            "bench_unsupported",
            f"{job.model.name} cannot be measured",
            loaded.info.why or f"It runs on {loaded.info.device}, and this measures the CPU",
            "Choose another model",
        )
    return loaded


def _bytes_read(info: ModelInfo, job: BenchJob) -> int:
    """Bytes of weights and cache that one token reads, by the model's shape; 0 where it is unknown."""
    size = size_of(info)
    if size.shape is None:
        return 0
    seen = job.context + job.tokens // 2
    cached = footprint.cache_read(size.shape, seen, footprint.WIDTHS.get(info.load_dtype, 2))
    return footprint.weights(size, job.quant or info.load_dtype).read + cached


def _middle(replies: list[Timed]) -> float:
    return median(reply.tokens_per_s for reply in replies)


def _beside_llama(result: DecodeBench, job: BenchJob, base: LoadedModel, told: Told) -> DecodeBench:
    if not job.gguf:
        return result
    told("llama.cpp decodes")
    text = str(base.vocabulary.tokenizer.decode(prompt_of(base.vocabulary, job.context)))
    speed, words = llama_tokens_per_s(job, text, torch.get_num_threads())
    return replace(result, llama_cpp_tokens_per_s=speed, llama_cpp=words)
