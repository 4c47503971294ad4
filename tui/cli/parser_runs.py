"""The grammar of `runs`, `adapters`, `monitor`, `doctor`; adds `train` and `data`. Imports nothing slow."""

from __future__ import annotations

import argparse
from typing import Any

from tui.cli.options import add_json, add_model, number, text, whole
from tui.cli.parser_data import add_data_command
from tui.cli.parser_race import add_race_command
from tui.cli.parser_remote import add_remote_commands, add_run_actions
from tui.cli.parser_train import add_train_command


def add_runs_commands(commands: Any) -> None:
    """Add the sub-commands to the top level's; `commands` is what `add_subparsers` returned."""
    add_train_command(commands)
    add_race_command(commands)
    _add_runs(commands.add_parser("runs", help="list, show, follow, pause, resume, tidy up runs"))
    _add_adapters(commands.add_parser("adapters", help="list adapters, switch one on in a chat"))
    add_data_command(commands)
    add_remote_commands(commands)
    _add_monitor(commands.add_parser("monitor", help="what RAM, CPU and GPUs hold now"))
    doctor = commands.add_parser("doctor", help="what is wrong with this machine, and what to do")
    doctor.description = "Look at everything Qwill needs. Exit code 1 when there is a problem."
    doctor.add_argument(
        "--calibrate", action="store_true", help="try the GPU again, to see which memory it computes in"
    )
    doctor.add_argument(
        "--numbers", action="store_true", help="every number of memory and where it comes from, for a report"
    )
    add_json(doctor)


def _add_runs(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Runs, newest first. A run is named by its id, its number, its name, or a unique start."
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    about = {
        "show": "one run: its numbers, curve, phases, and what went wrong",
        "follow": "show each step until the run ends",
        "stop": "end a run after its present step, and keep its adapter",
        "pause": "let a run stand still after its present step; a queued one is held back",
        "resume": "go on with a paused, stopped or failed run where it was saved",
        "move": "put a queued run at another place of the queue",
        "now": "start a queued run next, and park the one that trains",
        "rename": "give a run another name",
        "tag": "set the tags of a run",
        "note": "write a note to a run",
        "duplicate": "queue it again with some keys changed",
        "rerun": "queue it again as recorded, and say what cannot be matched here",
        "export": "write a run's curve to a file, or hand it to a tracker",
        "checkpoints": "the checkpoints of a run: step, size, evaluation",
        "rm": "move an ended run and its adapter to the trash",
    }
    listing = actions.add_parser("list", help="all runs; --json prints one array, newest first")
    listing.add_argument("--all-hosts", action="store_true", help="those of every place, and where they are")
    add_json(listing)
    add_run_actions(actions)
    found = {name: actions.add_parser(name, help=words) for name, words in about.items()}
    for name, action in found.items():
        whole_id = "; its whole id with --restore" if name == "rm" else ""
        named = f"id, number, name, or the start of one{whole_id}"
        action.add_argument("run", metavar="RUN", type=text, help=named)
        add_json(action)
    _add_run_options(found)
    _add_compare(actions.add_parser("compare", help="what differs between runs, and what came of it"))
    _add_memory(actions.add_parser("memory", help="what a run's memory was, phase by phase; of several, too"))
    prune = actions.add_parser("prune", help="delete old checkpoints and the trash")
    prune.add_argument("--dry-run", action="store_true", help="say what would go, and how many bytes")
    add_json(prune)


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "CSV and JSON lines go to stdout, or to --output. A tracker gets a run that has ended, all of it: "
        "TensorBoard's files lie in the run's folder, and trackio, W&B (offline) and MLflow write to this "
        "machine too, unless you have set them up otherwise. For a run under way: `qwill train --tracker`."
    )
    forms = ("csv", "jsonl", "tensorboard", "trackio", "wandb", "mlflow")
    parser.add_argument("--to", choices=forms, required=True, help="each tracker is an extra of its name")
    parser.add_argument("-o", "--output", metavar="PATH", type=text, default="", help="of csv and jsonl")


def _add_memory(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "The most that each phase took, and what the bytes were at the peak; several runs side by side, such "
        "as full precision against 4-bit. --json has every point, to plot it over time."
    )
    parser.add_argument("runs", metavar="RUN", type=text, nargs="+", help="id, number, name, or its start")
    add_json(parser)


def _add_compare(parser: argparse.ArgumentParser) -> None:
    parser.description = "A table of the settings that differ and the results; a sentence on what changed."
    parser.add_argument("runs", metavar="RUN", type=text, nargs="*", help="id, number, name, or its start")
    parser.add_argument("--filter", metavar="WORDS", type=text, default="", help="such as 'tag:legal eval<2'")
    axes = ("step", "epoch", "tokens", "time")
    parser.add_argument("--by", choices=axes, default="", help="the curves too, along this axis")
    parser.add_argument(
        "--metric", choices=("loss", "eval", "rate", "grad", "speed", "memory"), default="loss", help="(loss)"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--md", action="store_true", help="print the table as Markdown")
    form.add_argument("--csv", action="store_true", help="as CSV, with every digit")
    form.add_argument("--latex", action="store_true", help="as a LaTeX tabular")
    add_json(parser)


def _add_run_options(found: dict[str, argparse.ArgumentParser]) -> None:
    found["stop"].add_argument("--discard", action="store_true", help="save no adapter now")
    found["pause"].add_argument(
        "--mode",
        choices=("hold", "yield", "park"),
        default="hold",
        help="hold keeps all memory, yield moves the run's own to RAM, park keeps only a checkpoint (hold)",
    )
    found["move"].add_argument("place", metavar="PLACE", type=whole(1), help="1 is next")
    found["rename"].add_argument("name", metavar="NAME", type=text)
    found["tag"].add_argument("tags", metavar="TAG", type=text, nargs="*", help="none takes all away")
    found["note"].add_argument("note", metavar="TEXT", type=text)
    found["duplicate"].add_argument(
        "changes", metavar="KEY=VALUE", type=text, nargs="*", help="keys of run.toml, e.g. rank=8 seed=1"
    )
    found["duplicate"].add_argument("--when-idle", action="store_true", help="once nobody has chatted")
    found["duplicate"].add_argument("--hold", action="store_true", help="store it, to be resumed by hand")
    _add_export(found["export"])
    found["rerun"].add_argument("--strict", action="store_true", help="refuse what cannot be matched here")
    found["checkpoints"].add_argument("--verify", action="store_true", help="read every byte of them")
    found["rm"].add_argument("--restore", action="store_true", help="bring it back from the trash")


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


def _add_monitor(parser: argparse.ArgumentParser) -> None:
    parser.description = "Pools of memory, swap, the engine, CPU and GPUs, a line a second until Ctrl+C."
    parser.add_argument("--once", action="store_true", help="print all of it once, with where it comes from")
    parser.add_argument("--explain", action="store_true", help='what "shared memory" means on this machine')
    add_json(parser, "print JSON, one object a line")
