"""The command line's grammar. Imports nothing slow, so that `qwill --help` answers at once."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any, NoReturn

from tui.cli.options import (
    add_batch,
    add_catalogue,
    add_json,
    add_linear,
    add_load,
    add_model,
    code_block,
    number,
    text,
    whole,
)
from tui.cli.parser_bench import add_bench_command
from tui.cli.parser_chats import add_chats_command
from tui.cli.parser_endpoints import add_endpoints_command
from tui.cli.parser_evaluate import add_evaluate_commands
from tui.cli.parser_hub import add_hub
from tui.cli.parser_runs import add_runs_commands
from tui.cli.parser_serve import add_serve_command
from tui.cli.parser_unit import add_unit_actions

HOST = "QWILL_HOST"
EXAMPLES = """\
examples:
  qwill                                    open the workbench on the demo model
  qwill -m Qwen/Qwen3-0.6B                 open it on a model of your Hugging Face cache
  qwill chat -p "What is 482 + 359?"       one answer on stdout, the thinking on stderr
  qwill chat -p - --json < question.txt    the prompt from stdin, one line of JSON out
  git diff | qwill chat -p "Review this"   what comes through the pipe stands below the prompt
  qwill chat                               talk line by line: no full screen, no cursor tricks
  qwill --host user@box                    the same, on the models and the memory of another machine
  qwill train --data FILE.jsonl --follow   train an adapter, and see it learn
  qwill chat -a ADAPTER -p "Who are you?"  ask with an adapter on
"""


class Parser(argparse.ArgumentParser):
    """Says wrong usage in one line, as JSON when asked for."""

    def error(self, message: str) -> NoReturn:
        """Print one line with the remedy and leave with exit code 2."""
        title = message[:1].upper() + message[1:]
        remedy = f"Run `{self.prog} --help` to see what is possible"
        if "--json" in sys.argv[1:]:
            fault = {"code": "usage", "title": title, "detail": "", "remedy": remedy, "retryable": False}
            print(json.dumps({"error": fault}))
        else:
            line = f"qwill: {title.rstrip('.')}. {remedy}."
            print("".join(c if c.isprintable() else " " for c in line), file=sys.stderr)
        raise SystemExit(2)


class _Version(argparse.Action):
    """Prints the version; the import waits until somebody asks."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from engine.api import VERSION

        print(f"qwill {VERSION}")
        raise SystemExit(0)


def build_parser(*, commands: bool = True) -> Parser:
    """The grammar, with or without its sub-commands. Options that several levels share keep what an outer
    level was given."""
    parser = Parser(
        prog="qwill",
        description="A terminal workbench for local Qwen models.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and leave")
    parser.add_argument(
        "-m", "--model", metavar="MODEL", type=text, help="open on this model: id, name or folder"
    )
    parser.add_argument(
        "--in-process", action="store_true", help="run the engine inside this process; it ends with it"
    )
    parser.add_argument(
        "--host",
        metavar="BOX",
        type=text,
        default=os.environ.get(HOST, ""),
        help=f"use the engine of this machine, as ssh names it: box, user@box ({HOST} does the same)",
    )
    add_linear(parser, default=False)
    parser.add_argument(
        "--remote",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="paint as over a network: 15 frames a second, only what changes; by itself over ssh",
    )
    parser.set_defaults(json=False)
    if not commands:
        parser.set_defaults(command=None)
        return parser
    tree = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    _add_chat(tree.add_parser("chat", help="talk line by line, or ask once with -p"))
    add_chats_command(tree)
    add_endpoints_command(tree)
    _add_models(tree.add_parser("models", help="list, show, load and unload models"))
    add_runs_commands(tree)
    add_evaluate_commands(tree)
    tree.add_parser("tour", help="open the workbench with six steps to try").description = (
        "Six small steps on the demo model, each done by your own keys: the next word, thinking, a first "
        "adapter, base against adapter, memory, your own data."
    )
    add_serve_command(tree)
    add_bench_command(tree)
    _add_engine(tree.add_parser("engine", help="start, stop and look at the engine process"))
    return parser


def _add_chat(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Without -p: talk line by line in this terminal. With -p: ask once; the answer goes to stdout, the "
        "thinking to stderr, and what comes through a pipe stands below the prompt."
    )
    parser.add_argument(
        "-p", "--prompt", metavar="TEXT", type=text, help="what to ask; `-` reads it from stdin"
    )
    add_batch(parser)
    parser.add_argument(
        "-f",
        "--file",
        metavar="FILE",
        dest="files",
        type=text,
        action="append",
        default=[],
        help="a text file to go with the (first) message; may be given again",
    )
    parser.add_argument(
        "-i",
        "--image",
        metavar="FILE",
        dest="images",
        type=text,
        action="append",
        default=[],
        help="an image to go with the message, for a model that sees; may be given again",
    )
    parser.add_argument(
        "-x",
        "--extract",
        metavar="N",
        type=code_block,
        nargs="?",
        const="1",
        help="print only the code of the answer: its first block, block N, or `all`",
    )
    _add_which_chat(parser)
    add_model(parser)
    parser.add_argument(
        "-a",
        "--adapter",
        metavar="ADAPTER[:W]",
        type=text,
        action="append",
        default=[],
        help="id, name or folder of an adapter, and its weight, 0 to 2 (1); once more for another beside it",
    )
    parser.add_argument(
        "--adapter-weight", metavar="W", type=number(0, 2), help="how strongly the first adapter counts"
    )
    _add_sampling(parser)
    _add_load_options(parser)
    parser.add_argument(
        "--save",
        action=argparse.BooleanOptionalAction,
        help="keep the chat in the list of chats; without -p it is kept unless --no-save",
    )
    add_linear(parser)
    parser.add_argument(
        "--show-thinking", action="store_true", help="without -p: print the thoughts, not only how long"
    )
    add_json(parser)


def _add_which_chat(parser: argparse.ArgumentParser) -> None:
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "-c", "--continue", dest="go_on", action="store_true", help="go on with the newest chat"
    )
    group.add_argument("--chat", metavar="ID", type=text, default="", help="go on with this one: id or title")


def _add_sampling(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--system", metavar="TEXT", type=text, help="system prompt")
    parser.add_argument(
        "--think", action=argparse.BooleanOptionalAction, help="think before the answer; it does by itself"
    )
    parser.add_argument(
        "--think-budget", metavar="N", type=whole(0), help="thinking tokens at most, then it answers"
    )
    parser.add_argument(
        "--temperature", metavar="T", type=number(0), help="0 always takes the likeliest token"
    )
    parser.add_argument("--top-k", metavar="N", type=whole(0), help="sample from the N likeliest; 0 is off")
    parser.add_argument("--top-p", metavar="P", type=number(0, 1), help="sample from this much probability")
    parser.add_argument("--min-p", metavar="P", type=number(0, 1), help="drop tokens below P times the best")
    parser.add_argument(
        "--repetition-penalty", metavar="R", type=number(0), help="above 1 discourages repeats"
    )
    parser.add_argument("--max-tokens", metavar="N", type=whole(1), help="new tokens at most, with thinking")
    parser.add_argument("--seed", metavar="N", type=whole(0), help="the same seed samples the same reply")


def _add_models(parser: argparse.ArgumentParser) -> None:
    parser.description = "Models of the Hugging Face cache, of added folders, and the demo."
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    listing = actions.add_parser("list", help="all models found")
    listing.add_argument("--refresh", action="store_true", help="look at the disk again")
    show = actions.add_parser("show", help="one model in detail")
    load = actions.add_parser("load", help="load a model and keep it ready")
    unload = actions.add_parser("unload", help="free a model's memory, or cancel its load")
    for action in (show, load, unload):
        action.add_argument("name", metavar="MODEL", type=text, help="id, name or folder")
    _add_load_options(load)
    health = actions.add_parser("health", help="how fast the models answer here, and what slows them down")
    health.add_argument(
        "name", metavar="MODEL", type=text, nargs="?", help="id, name or folder; all by itself"
    )
    catalogue = actions.add_parser("catalogue", help="models by name: what there is, and what fits here")
    add_catalogue(catalogue)
    for action in (listing, show, load, unload, health, catalogue):
        add_json(action)
    add_hub(actions)


def _add_engine(parser: argparse.ArgumentParser) -> None:
    parser.description = "The engine holds models and chats; it goes on when the workbench closes."
    for name in ("--stdio", "--no-start"):  # no help: what ssh runs on a host
        parser.add_argument(name, action="store_true", help=argparse.SUPPRESS)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions")
    start = actions.add_parser("start", help="start it, if none runs")
    stop = actions.add_parser("stop", help="end it; replies are kept as far as they are")
    for action in (
        start,
        stop,
        actions.add_parser("status", help="whether one runs, and what it holds"),
        actions.add_parser("run"),  # no help: the engine itself, in the foreground
    ):
        add_json(action)
    stop.add_argument("--when-idle", action="store_true", help="wait until nothing is under way")
    add_unit_actions(actions)


def _add_load_options(parser: argparse.ArgumentParser) -> None:
    add_load(parser)
    parser.add_argument(
        "--evict", action="store_true", help="let a loaded model go when both do not fit, without asking"
    )
