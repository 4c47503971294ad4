"""The grammar of `qwill endpoints`. Imports nothing slow."""

from __future__ import annotations

import argparse
from typing import Any

from tui.cli.options import add_json, number, text

KINDS = ("vllm", "sglang", "ollama", "llama.cpp", "lmstudio", "foundry", "transformers", "other")
END = """\
examples:
  qwill endpoints list --refresh
  qwill endpoints add box http://192.168.1.20:8000/v1
  qwill endpoints add work https://llm.example.org/v1 --key       asks for the key, and does not show it
  qwill endpoints add work https://llm.example.org/v1 --key-env WORK_KEY
  qwill chat -m box/Qwen/Qwen3-8B -p "Hello"

Servers on this machine's usual ports are found by themselves: Ollama 11434, LM Studio 1234, vLLM and
transformers serve 8000, llama.cpp 8080, SGLang 30000, Foundry Local 5272 and 5273. QWILL_FIND_SERVERS=0
in the engine's environment turns that off.
"""


def add_endpoints_command(commands: Any) -> None:
    """Add the sub-command to the top level's; `commands` is what `add_subparsers` returned."""
    parser = commands.add_parser(
        "endpoints",
        help="servers behind the same chat: Ollama, vLLM and others",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=END,
    )
    parser.description = "OpenAI-compatible servers. Their models stand in the list of models as NAME/MODEL."
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    listing = actions.add_parser("list", help="named servers, and those found on this machine")
    listing.add_argument("--refresh", action="store_true", help="ask all of them again")
    add = actions.add_parser("add", help="name a server, or change the one of this name")
    check = actions.add_parser("check", help="ask a server now; exit code 1 when it cannot be asked")
    remove = actions.add_parser("remove", help="take a server out of the settings, its key too")
    for action in (add, check, remove):
        action.add_argument("name", metavar="NAME", type=text)
    _add_add(add)
    remove.add_argument("--undo", action="store_true", help="bring it back, while the engine runs")
    for action in (listing, add, check, remove):
        add_json(action)


def _add_add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", metavar="URL", type=text, help="up to its /v1")
    keys = parser.add_mutually_exclusive_group()
    keys.add_argument("--key", action="store_true", help="read a key from the terminal or from a pipe")
    keys.add_argument("--key-env", metavar="VAR", type=text, help="a variable of the engine that holds it")
    keys.add_argument("--key-file", metavar="FILE", type=text, help="a file that holds it")
    parser.add_argument("--kind", choices=KINDS, help="which program serves; found out by itself")
    parser.add_argument(
        "--timeout", metavar="S", type=number(1, 86400), help="seconds of silence before a reply fails (300)"
    )
    parser.add_argument(
        "--model",
        dest="models",
        metavar="NAME",
        type=text,
        action="append",
        default=[],
        help="a model to offer where the server lists none; may be given again",
    )
