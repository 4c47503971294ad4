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
