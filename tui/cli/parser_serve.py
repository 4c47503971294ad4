"""The grammar of `qwill serve`. Imports nothing slow."""

from __future__ import annotations

import argparse
from typing import Any

from tui.cli.options import add_json, add_model, text

END = """\
examples:
  qwill serve                              on port 8123, with the model of the newest chat
  qwill serve -m Qwen/Qwen3-0.6B --port 0  on any free port
  qwill serve --status
  qwill serve --stop

Programs ask with `Authorization: Bearer TOKEN`. The token is made once and lies in a file that only you can
read; delete the file to have another one made. QWILL_TOKEN or --token-file give one of your own.
A model with an adapter is called MODEL+ADAPTER; GET /v1/models lists the names.
"""


def add_serve_command(commands: Any) -> None:
    """Add the sub-command to the top level's; `commands` is what `add_subparsers` returned."""
    parser = commands.add_parser(
        "serve",
        help="let editors and scripts use the models, as OpenAI's API, on this machine only",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=END,
    )
    parser.description = (
        "Answers OpenAI-compatible requests on 127.0.0.1 until it is stopped; they take turns with the chat."
    )
    parser.add_argument("--port", metavar="N", type=_port, help="8123 by itself; 0 takes any that is free")
    add_model(parser)
    tokens = parser.add_mutually_exclusive_group()
    tokens.add_argument(
        "--token", metavar="T", type=text, help="others on this machine can see it in the list of processes"
    )
    tokens.add_argument("--token-file", metavar="FILE", type=text, help="a file that holds it; `-` is stdin")
    parser.add_argument(
        "--allow-origin",
        metavar="ORIGIN",
        dest="origins",
        type=text,
        action="append",
        default=[],
        help="let this web page ask: http://localhost:3000; may be given again",
    )
    actions = parser.add_mutually_exclusive_group()
    actions.add_argument("--stop", action="store_true", help="stop serving")
    actions.add_argument("--status", action="store_true", help="whether it serves; exit code 1 when not")
    parser.add_argument(
        "--evict", action="store_true", help="let a loaded model go when both do not fit, without asking"
    )
    add_json(parser)


def _port(value: str) -> int:
    if not (value.isascii() and value.isdecimal() and int(value) <= 65535):
        raise argparse.ArgumentTypeError(f"{value!r} is no port between 0 and 65535")
    return int(value)
