"""Options that several sub-commands share, and how their values are read. Imports nothing slow."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from typing import Any

DTYPES = ("float32", "bfloat16", "float16")
QUANTS = ("int8", "int4", "nf4", "bnb8")


def add_model(parser: Any) -> None:
    """`-m`, kept as an outer level was given it; `parser` may be a group of options."""
    parser.add_argument(
        "-m",
        "--model",
        metavar="MODEL",
        type=text,
        default=argparse.SUPPRESS,
        help="id, name or folder of a model",
    )


def add_catalogue(parser: argparse.ArgumentParser) -> None:
    """What `qwill models catalogue` takes."""
    parser.description = (
        "The Qwen families and the open models people use beside them. Reads this machine's memory; loads "
        "and downloads nothing."
    )
    parser.add_argument("--fits", action="store_true", help="only what fits here, the best first")
    parser.add_argument("--use", choices=("chat", "maths", "code", "vision", "small"), help="good for this")
    parser.add_argument(
        "--context", metavar="N", type=whole(1), default=0, help="plan for N tokens; 8192 by itself"
    )
    parser.add_argument(
        "--keep-free", metavar="GIB", type=number(0), help="leave so much memory to other programs"
    )
    parser.add_argument(
        "--bandwidth", metavar="GB/S", type=number(0), default=0.0, help="of the memory, to foretell tokens/s"
    )


def add_load(parser: argparse.ArgumentParser) -> None:
    """How weights are loaded: `--dtype` and `--quant`; `held` reads the latter."""
    parser.add_argument("--dtype", choices=DTYPES, default="", help="type to load the weights in")
    parser.add_argument(
        "--quant",
        choices=("none", *QUANTS),
        help="pack the weights: int8 and int4 on CPUs, bnb8 and nf4 with bitsandbytes; none unpacks them",
    )


def held(args: argparse.Namespace) -> Any:
    """What `--quant` asks for: None is nothing, and leaves a loaded model as it is; empty is unpacked."""
    return "" if args.quant == "none" else args.quant


def add_batch(parser: argparse.ArgumentParser) -> None:
    """What `qwill chat --jsonl` takes."""
    parser.add_argument(
        "--jsonl",
        metavar="FILE",
        type=text,
        help="answer a file of prompts: a JSON object a line with `prompt` or `messages`, and maybe `id`, "
        "`system`, `think`, `seed`, `max_tokens` and the like; `-` is stdin",
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=text, help="with --jsonl: the answers; those there are kept"
    )
    parser.add_argument(
        "--batch", metavar="N", type=whole(1), default=8, help="with --jsonl: lines answered together (8)"
    )


def add_json(parser: argparse.ArgumentParser, words: str = "print one line of JSON") -> None:
    """`--json`; wrong usage is an object then, too."""
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help=words)


def add_linear(parser: argparse.ArgumentParser, *, default: Any = argparse.SUPPRESS) -> None:
    """`--linear`, kept as an outer level was given it."""
    parser.add_argument(
        "--linear",
        "--screen-reader",
        dest="linear",
        action="store_true",
        default=default,
        help="plain lines instead of the full screen, as a screen reader wants them",
    )


def asked_linear(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether plain lines are wanted; QWILL_LINEAR=0 wants the full screen, without colours too."""
    wish = environment.get("QWILL_LINEAR", "")
    return wish != "0" if wish else bool(environment.get("NO_COLOR"))


def code_block(value: str) -> str:
    """`all`, or the 1-based number of a code block."""
    if value != "all" and not (value.isdecimal() and int(value) >= 1):
        raise argparse.ArgumentTypeError(f"{value!r} is no number of a code block from 1 up, nor `all`")
    return value


def text(value: str) -> str:
    """The text itself, if it can travel: bytes that are no UTF-8 arrive as lone surrogates."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError("the text is not UTF-8") from None
    return value


def whole(least: int) -> Callable[[str], int]:
    """A parser of whole numbers from `least` up to what the protocol carries (64 bits)."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value < 1 << 63:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least} up")
        return value

    return parse


def number(least: float, most: float = float("inf")) -> Callable[[str], float]:
    """A parser of finite numbers between `least` and `most`, both included."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least <= value <= most or value == float("inf"):
            span = f"from {least:g} up" if most == float("inf") else f"between {least:g} and {most:g}"
            raise argparse.ArgumentTypeError(f"{text!r} is no number {span}")
        return value

    return parse
