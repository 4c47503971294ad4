"""The grammar of `train`, `runs`, `adapters`, `data`, `monitor` and `doctor`. Imports nothing slow."""

from __future__ import annotations

import argparse
from typing import Any

from tui.cli.options import add_json, add_model, number, text, whole

TRAIN = """\
Train an adapter. The run's id goes to stdout at once; the run goes on in the engine, whatever becomes of
this command. The base and the data come from RUN.toml or from --model and --data; options change what
RUN.toml says.
"""
TRAIN_END = """\
a row of the data is one line of JSON:
  {"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}

with --follow:
  Ctrl+C leaves the run alone and goes on with the shell; exit code 0 means that the run is done, 1 that it
  failed, was stopped or was left alone. With --json the first line is {"id": ...}, then one object a step
  (id, step, steps, loss, eval_loss, rate, tokens_per_s, eta_s), then the run as it ended.

examples:
  qwill train --model demo --data shipped:pirate --follow
  qwill train --data mine.jsonl --rank 8 --steps 200 --dry-run
  qwill train run.toml --rate 1e-4
"""


def add_runs_commands(commands: Any) -> None:
    """Add the sub-commands to the top level's; `commands` is what `add_subparsers` returned."""
    raw = argparse.RawDescriptionHelpFormatter
    _add_train(commands.add_parser("train", help="train an adapter", formatter_class=raw, epilog=TRAIN_END))
    _add_runs(commands.add_parser("runs", help="list, show, follow, stop and delete runs"))
    _add_adapters(commands.add_parser("adapters", help="list adapters, switch one on in a chat"))
    _add_data(commands.add_parser("data", help="check a dataset, list those that come with Qwill"))
    _add_monitor(commands.add_parser("monitor", help="what RAM, CPU and GPUs hold now"))
    doctor = commands.add_parser("doctor", help="what is wrong with this machine, and what to do")
    doctor.description = "Look at everything Qwill needs. Exit code 1 when there is a problem."
    add_json(doctor)


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.description = TRAIN
    parser.add_argument("spec", metavar="RUN.toml", type=text, nargs="?", help="a run as a file")
    parser.add_argument("--follow", action="store_true", help="show each step until the run ends")
    parser.add_argument("--dry-run", action="store_true", help="say what it would take, and train nothing")
    add_json(parser, "print JSON, one object a line")
    what = parser.add_argument_group("what is trained")
    add_model(what)
    what.add_argument("--data", metavar="FILE", type=text, help="JSONL of chats, or shipped:NAME")
    what.add_argument("--name", metavar="NAME", type=text, help="name of the run and of its adapter")
    what.add_argument("--rank", metavar="N", type=whole(0), help="rank of the adapter (16)")
    what.add_argument(
        "--alpha", metavar="N", type=whole(0), help="its scale is alpha / rank (twice the rank)"
    )
    what.add_argument("--dropout", metavar="P", type=number(0), help="dropout before the adapter (0)")
    what.add_argument(
        "--targets",
        choices=("attention", "mlp", "attention+mlp"),
        help="layers that get an adapter (attention+mlp)",
    )
    _add_schedule(parser.add_argument_group("how"))


def _add_schedule(how: Any) -> None:
    how.add_argument("--steps", metavar="N", type=whole(0), help="optimiser steps (counted from --epochs)")
    how.add_argument("--epochs", metavar="N", type=number(0), help="times through the data (3)")
    how.add_argument("--batch", metavar="N", type=whole(0), help="rows of a micro-batch (4)")
    how.add_argument("--accumulate", metavar="N", type=whole(0), help="micro-batches of a step (1)")
    how.add_argument("--length", metavar="N", type=whole(0), help="longer rows are left out (1024 tokens)")
    how.add_argument("--rate", metavar="R", type=number(0), help="peak learning rate (by the model's size)")
    how.add_argument("--warmup", metavar="S", type=number(0), help="share of steps until the peak (0.05)")
    how.add_argument("--weight-decay", metavar="D", type=number(0), help="weight decay of AdamW (0)")
    how.add_argument("--clip", metavar="N", type=number(0), help="largest gradient norm (1)")
    how.add_argument("--eval-fraction", metavar="S", type=number(0), help="share of rows held out (0.05)")
    how.add_argument("--eval-every", metavar="N", type=whole(0), help="steps between evaluations (a tenth)")
    how.add_argument("--seed", metavar="N", type=whole(0), help="of the order, the split and the start (0)")


def _add_runs(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Runs, newest first. A run is named by its id, its number, its name, or a unique start."
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    listing = actions.add_parser("list", help="all runs; --json prints one array, newest first")
    show = actions.add_parser("show", help="one run: its numbers, curve, phases, and what went wrong")
    follow = actions.add_parser("follow", help="show each step until the run ends")
    stop = actions.add_parser("stop", help="end a run after its present step, and keep its adapter")
    remove = actions.add_parser("rm", help="move an ended run and its adapter to the trash")
    for action in (show, follow, stop):
        action.add_argument("run", metavar="RUN", type=text, help="id, number, name, or the start of one")
    remove.add_argument("run", metavar="RUN", type=text, help="as above; its whole id with --restore")
    stop.add_argument("--discard", action="store_true", help="save no adapter now")
    remove.add_argument("--restore", action="store_true", help="bring it back from the trash")
    for action in (listing, show, follow, stop, remove):
        add_json(action)


def _add_adapters(parser: argparse.ArgumentParser) -> None:
    parser.description = "Adapters of your runs and of added folders, each with the base that it fits."
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    listing = actions.add_parser("list", help="all adapters, newest first")
    use = actions.add_parser("use", help="switch an adapter on in a chat, or off")
    which = use.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "adapters",
        metavar="ADAPTER[:W]",
        type=text,
        nargs="*",
        default=[],
        help="id, name or folder, and how strongly it counts; several answer together",
    )
    which.add_argument("--off", action="store_true", help="answer with the base alone again")
    use.add_argument("--chat", metavar="ID", type=text, default="", help="the newest chat otherwise")
    _add_weight(use)
    prove = actions.add_parser("prove", help="whether an adapter changes what its model says, and how much")
    export = actions.add_parser("export", help="write it for other programs, compared with the live model")
    export.add_argument(
        "--form",
        choices=("peft", "merged", "gguf", "gguf-lora", "ollama", "vllm"),
        required=True,
        help="a PEFT or a merged folder, a GGUF model or LoRA file, a folder for Ollama, vLLM's command line",
    )
    merge = actions.add_parser("merge", help="write its base with it merged in; `export --form merged`")
    for action in (prove, export, merge):
        action.add_argument("adapter", metavar="ADAPTER", type=text, help="id, name or folder")
        add_model(action)
        _add_weight(action)
        action.add_argument("--evict", action="store_true", help="let a loaded model go for its base")
    prove.add_argument("-p", "--prompt", metavar="TEXT", type=text, default="", help="what to ask both")
    for action in (export, merge):
        action.add_argument("-o", "--output", metavar="PATH", type=text, default="", help="where to write")
        action.add_argument(
            "--replace", action="store_true", help="take the place of what is there, which is kept beside"
        )
    export.add_argument(
        "--type", choices=("f32", "f16", "bf16", "q8_0"), default="f16", help="of a GGUF's weights (f16)"
    )
    export.add_argument("--name", metavar="NAME", type=text, default="", help="for Ollama or vLLM")
    for action in (listing, use, prove, export, merge):
        add_json(action)


def _add_weight(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--adapter-weight",
        dest="weight",
        metavar="W",
        type=number(0, 2),
        default=1.0,
        help="how strongly it counts, 0 to 2 (1)",
    )


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.description = "Datasets: JSONL files of chats."
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    check = actions.add_parser("check", help="name what is wrong in a dataset, by line and key")
    check.description = (
        "Exit code 0 when a run would use every row; 1 when it would leave one out, or has fewer than two."
    )
    check.add_argument("data", metavar="FILE", type=text, help="JSONL of chats, or shipped:NAME")
    listing = actions.add_parser("list", help="the datasets that come with Qwill")
    for action in (check, listing):
        add_json(action)


def _add_monitor(parser: argparse.ArgumentParser) -> None:
    parser.description = "RAM, swap, the engine, CPU and GPUs, a line a second until Ctrl+C."
    parser.add_argument("--once", action="store_true", help="print all of it once, with where it comes from")
    add_json(parser, "print JSON, one object a line")
