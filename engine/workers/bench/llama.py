"""Tokens/s of llama.cpp for the same prompt and number of tokens, through xllamacpp where it is installed."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from engine.benching import BenchJob

_MISSING = "xllamacpp is not installed"


def llama_tokens_per_s(job: BenchJob, prompt: str, threads: int) -> tuple[float | None, str]:
    """The median over the job's rounds, and the version and file; None and why where it cannot be told."""
    try:
        import xllamacpp
    except ImportError:
        return None, _MISSING
    path = Path(job.gguf)
    if not path.is_file():
        return None, f"There is no file {path.name}"
    server = xllamacpp.Server(_params(xllamacpp, job, threads))
    asked = {
        "prompt": prompt,
        "n_predict": job.tokens,
        "temperature": 0,
        "ignore_eos": True,
        "cache_prompt": True,
        "stream": False,
    }
    speeds = [_speed(server.handle_completions, asked) for _ in range(job.rounds + 1)]
    told = [speed for speed in speeds[1:] if speed]
    if not told:
        return None, f"llama.cpp gave no timings for {path.name}"
    return median(told), f"xllamacpp {xllamacpp.__version__}, {path.name}"


def _params(xllamacpp: Any, job: BenchJob, threads: int) -> Any:
    params = xllamacpp.CommonParams()
    params.model.path = job.gguf
    params.n_ctx = job.context + job.tokens + 64
    params.n_parallel = 1
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.n_gpu_layers = 0
    params.verbosity = 0
    # It listens on loopback: nobody else may ask.
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [secrets.token_urlsafe(32)]
    return params


def _speed(complete: Callable[[dict[str, Any]], dict[str, Any]], asked: dict[str, Any]) -> float:
    return float(complete(asked).get("timings", {}).get("predicted_per_second", 0.0))
