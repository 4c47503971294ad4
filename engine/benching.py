"""Runs a measurement of speed in a process of its own, and what it finds. Loads no model itself."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import IO, Literal, Protocol, TypeVar

import msgspec

from engine.models.describe import describe
from engine.models.discover import demo_path, discover, find
from engine.protocol.errors import EngineError, ErrorInfo, fault
from engine.protocol.specs import ModelInfo, Quant

REPLY = 24
"""Tokens of the third reply of `ttft`."""
_ROOT = Path(__file__).resolve().parents[1]


class BenchJob(msgspec.Struct, frozen=True):
    """What to measure."""

    kind: Literal["decode", "ttft", "quality"]
    model: ModelInfo
    dtype: str = ""
    """float32, bfloat16, float16; empty: what this machine does fast."""
    quant: Quant = ""
    context: int = 64
    """Tokens in the cache when the first one is timed; of `ttft` the history before the third question."""
    tokens: int = 64
    """New tokens a reply; of `ttft` those of the second answer."""
    rounds: int = 5
    gguf: str = ""
    """The file that llama.cpp decodes with beside ours; empty asks for none."""


class BenchMachine(msgspec.Struct, frozen=True):
    """Where it was measured."""

    cpu: str
    flags: tuple[str, ...]
    """Instruction sets that matter for speed."""
    threads: int
    """Those that the model was computed with."""
    python: str
    torch: str
    transformers: str
    bandwidth_gb_s: float
    """1e9 bytes a second, read by one row times a large matrix, with all threads."""
    kernel: str
    """The fastest of those that read it: float32, bfloat16 or int8."""


class DecodeBench(msgspec.Struct, frozen=True):
    """Tokens/s of ours and of `model.generate`, medians of rounds that took turns."""

    machine: BenchMachine
    model: str
    dtype: str
    quant: Quant
    context: int
    tokens: int
    rounds: int
    same: bool
    """Whether both computed the same greedy ids, in `checked`."""
    checked: str
    agreement: float
    """Share of `generate`'s ids that ours computes too, as timed: each behind those before it."""
    read_mb: float
    """What one token reads of weights and cache, 1e6 bytes."""
    bandwidth_gb_s: float
    share: float
    """Of the tokens/s that the bandwidth allows; 0 where the model's shape is unknown."""
    tokens_per_s: float
    best_tokens_per_s: float
    generate_dtype: str
    """It is never quantised."""
    generate_tokens_per_s: float
    generate_best_tokens_per_s: float
    ratio: float | None
    """Ours to `generate`; None unless `same`."""
    llama_cpp_tokens_per_s: float | None = None
    llama_cpp: str = ""
    """Its version and file, or why there is no figure."""


class TtftBench(msgspec.Struct, frozen=True):
    """Time to the first token of a third turn: with the chat's cache, and with none."""

    machine: BenchMachine
    model: str
    dtype: str
    quant: Quant
    context: int
    """Tokens of the third prompt."""
    answer: int
    """Tokens of the second answer."""
    cached: int
    """Tokens of the third prompt that the cache had."""
    rounds: int
    same: bool
    """Whether both replies have the same ids."""
    cold_ms: float
    warm_ms: float
    ratio: float | None
    """Warm to cold; None unless `same`."""
    prompt_ms: float
    """Of `warm_ms`: the template rendered and the prompt tokenised."""


class QualityBench(msgspec.Struct, frozen=True):
    """What packing costs in quality, over a shipped text."""

    model: str
    quant: Quant
    dtype: str
    """What it computes in, and how the plain weights were held."""
    tokens: int
    perplexity: float
    """Of the packed model."""
    plain_perplexity: float
    agreement: float
    """Share of the tokens at which both find the same next one likeliest, teacher-forced."""
    memory: int
    """Bytes of the packed weights."""
    plain_memory: int


class BenchLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the child writes: one a line."""

    told: str = ""
    """What it does now."""
    decode: DecodeBench | None = None
    ttft: TtftBench | None = None
    quality: QualityBench | None = None
    error: ErrorInfo | None = None


def bench_model(name: str) -> ModelInfo:
    """The model to measure, by id, name or folder; empty is the demo. Raises EngineError."""
    if not name:
        return describe(demo_path(), "demo", "demo", "demo")
    model = find(name, discover())
    if model.runs_on != "torch":
        raise fault(
            "bench_refused",
            f"{model.name} is an ONNX model, which ONNX Runtime computes"
            if model.runs_on == "onnx"
            else f"{model.name} is a GGUF file, which llama.cpp computes",
            remedy="Measure a folder with config.json and .safetensors files; "
            "`qwill bench decode --against llama.cpp --gguf FILE` sets such a file beside it",
        )
    if model.support == "unsupported":
        raise fault("model_unsupported", f"{model.name} cannot be loaded", model.why)
    return model


def bench(job: BenchJob, told: Callable[[str], None]) -> DecodeBench | TtftBench | QualityBench:
    """Measure; takes from seconds to minutes.

    Raises EngineError: `bench_too_long`, what the child raises, and `bench_failed` where it died.
    """
    _check_room(job)
    with closing(answers("engine.workers.bench", job, BenchLine)) as lines:
        for said in lines:
            result = said.decode or said.ttft or said.quality
            if result is not None:
                return result
            told(said.told)
    raise AssertionError


def _check_room(job: BenchJob) -> None:
    size = job.model.context
    if size and job.context + job.tokens + REPLY > size:
        raise fault(
            "bench_too_long",
            f"{job.model.name} has no room for {job.context:,} tokens and a reply",
            f"It was made for {size:,}",
            "Choose a smaller --context or fewer --tokens",
        )


class Answer(Protocol):
    """A line that a measuring process writes."""

    @property
    def error(self) -> ErrorInfo | None: ...


L = TypeVar("L", bound=Answer)


def answers(module: str, job: msgspec.Struct, line: type[L], **environment: str) -> Generator[L, None, None]:
    """What `python -m MODULE` answers to a job on its stdin; closing this ends the process.

    Raises the EngineError of a line, and `bench_failed` where the process leaves before it is left alone.
    """
    path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
    with tempfile.TemporaryFile() as complaints:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            env={**os.environ, "PYTHONPATH": path, **environment},
        )
        try:
            assert child.stdin is not None
            child.stdin.write(msgspec.json.encode(job))
            child.stdin.close()
            for text in child.stdout or ():
                said = msgspec.json.decode(text, type=line)
                if said.error is not None:
                    raise EngineError(said.error)
                yield said
            raise died(child.wait(), complaints)
        finally:
            child.kill()
            child.wait()
            if child.stdout is not None:
                child.stdout.close()


def died(code: int, complaints: IO[bytes]) -> EngineError:
    """The EngineError `bench_failed` for a process that left without a result, with its last words."""
    complaints.seek(0)
    lines = complaints.read()[-4000:].decode("utf-8", "replace").strip().splitlines()
    return fault(
        "bench_failed",
        "The measurement ended without a result",
        lines[-1][:300] if lines else f"Its process left with {code}",
        "Try a shorter --context or a smaller model: memory may have run out",
    )
