"""The grammar of `qwill bench`. Imports nothing slow."""

from __future__ import annotations

import argparse
from typing import Any

from tui.cli.options import add_json, add_model, text, whole

DTYPES = ("float32", "bfloat16", "float16")
QUANTS = ("none", "int8", "int4", "nf4", "bnb8")
_WORDS = (
    "Measures in a process of its own, on the CPU. Close what else computes: other programs slow both sides."
)


def add_bench_command(tree: Any) -> None:
    """`qwill bench` with what it can measure."""
    parser = tree.add_parser("bench", help="how fast a model runs here, beside transformers' own generate")
    parser.description = _WORDS
    kinds = parser.add_subparsers(dest="kind", metavar="WHAT", title="what there is to measure")
    decode = kinds.add_parser("decode", help="tokens/s, and the share of what the memory allows")
    _add_common(decode, context=64, tokens=64, rounds=5)
    decode.add_argument(
        "--against", choices=("llama.cpp",), default="", help="measure it, too; needs --gguf and xllamacpp"
    )
    decode.add_argument("--gguf", metavar="FILE", type=text, default="", help="its file for llama.cpp")
    ttft = kinds.add_parser("ttft", help="time to the first token of a long chat's third turn")
    _add_common(ttft, context=0, tokens=100, rounds=3)
    quality = kinds.add_parser("quality", help="what packing costs in quality: perplexity, agreement")
    quality.description = "Reads a shipped text with plain and with packed weights, one after the other."
    add_model(quality)
    quality.add_argument("--dtype", choices=DTYPES, default="", help="type to compute in")
    quality.add_argument("--quant", choices=QUANTS[1:], default="int8", help="how to pack; int8 by itself")
    add_json(quality)
    _add_train(kinds)


def _add_train(kinds: Any) -> None:
    train = kinds.add_parser("train", help="LoRA steps beside TRL's: time, memory, and the same losses")
    train.description = (
        "Both sides train the same adapter on the same token ids, in processes of their own that take turns. "
        "Without a model it is a random Qwen3 of 98 million parameters with the full vocabulary of 151,936."
    )
    add_model(train)
    train.add_argument("--against", choices=("trl",), default="trl", help="whose steps to compare with")
    for name, value, words in (
        ("steps", 20, "optimiser steps of a turn"),
        ("batch", 2, "rows of a step"),
        ("length", 1024, "tokens of a row"),
        ("rounds", 2, "turns of each side"),
    ):
        train.add_argument(
            f"--{name}", metavar="N", type=whole(1), default=value, help=f"{words}; {value} by itself"
        )
    train.add_argument("--dtype", choices=DTYPES[:2], default="float32", help="of both; float32 by itself")
    train.add_argument(
        "--checkpointing", action="store_true", help="both compute activations again in the backward pass"
    )
    add_json(train)


def _add_common(parser: argparse.ArgumentParser, *, context: int, tokens: int, rounds: int) -> None:
    parser.description = _WORDS
    add_model(parser)
    parser.add_argument("--dtype", choices=DTYPES, default="", help="type to load the weights in")
    parser.add_argument("--quant", choices=QUANTS, default="none", help="pack the weights at load")
    for name, value, words in (
        ("context", context, "tokens in the cache"),
        ("tokens", tokens, "new tokens of a reply"),
        ("rounds", rounds, "how often each side has its turn"),
    ):
        least = 2 if name != "rounds" else 1
        parser.add_argument(
            f"--{name}",
            metavar="N",
            type=whole(least),
            default=value,
            help=f"{words}; {value or 4096} by itself",
        )
    add_json(parser)
