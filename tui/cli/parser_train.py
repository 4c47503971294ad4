"""The grammar of `qwill train`: one option for each key of run.toml. Imports nothing slow."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple

from tui.cli.options import DTYPES, add_json, add_model, number, text, whole

TRAIN = """\
Train an adapter. The run's id goes to stdout at once; the run goes on in the engine, whatever becomes of
this command. The base and the data come from RUN.toml or from --model and --data; options change what
RUN.toml says.
"""
TRAIN_END = """\
a row of the data is one line of JSON (see `qwill data --help` for other forms):
  {"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}

with --objective grpo (extra `rl`):
  --batch answers of 256 tokens at most are tried for each prompt, --accumulate prompts a step, by TRL in a
  process of its own. FILE has a function reward(prompt, answer) or reward(prompt, answer, expected) that
  returns a number, higher is better. Pausing freezes it; parked, it begins anew.

with --tracker (extras of their names; off by default):
  the run's numbers go to the tracker as well, from a process of its own. TensorBoard's files lie in the run's
  folder: tensorboard --logdir. trackio, W&B and MLflow write to this machine too, unless you have set up
  another place (WANDB_MODE or WANDB_API_KEY, MLFLOW_TRACKING_URI). `qwill runs export` hands over a run that
  has ended.

on several GPUs or processes:
  torchrun --nproc_per_node 2 -m engine.workers.launch RUN.toml (its --help says more)

with --follow:
  Ctrl+C leaves the run alone and goes on with the shell; exit code 0 means that the run is done, 1 that it
  failed, was stopped or was left alone. With --json the first line is {"id": ...}, then one object a step
  (id, step, steps, loss, eval_loss, rate, tokens_per_s, eta_s), then the run as it ended, with losses and
  step_seconds (lists), tokens_per_s, peaks (bytes by phase) and adapter_folder.

examples:
  qwill train --model demo --data shipped:pirate --follow
  qwill train --data mine.jsonl --rank 8 --steps 200 --dry-run
  qwill train --data mine.jsonl --preset tiny --when-idle
  qwill train run.toml --rate 1e-4
"""
METHODS = ("lora", "rslora", "dora", "pissa", "olora", "eva", "loftq", "full", "qlora", "qdora", "qpissa")
OBJECTIVES = ("chat", "text", "dpo", "orpo", "kto", "grpo")
PRESETS = ("tiny", "balanced", "quality")
TRACKERS = ("tensorboard", "trackio", "wandb", "mlflow")


class Flag(NamedTuple):
    """One option; `field` is the key of run.toml that it stands for."""

    field: str
    about: str
    kind: Callable[[str], Any] | tuple[str, ...] | type[bool] = text
    """How the value is read, its choices, or bool for a switch."""
    name: str = ""
    """Where it is not the field's own."""
    more: tuple[str, ...] = ()
    """Further names."""
    many: bool = False
    """Whether it may be given several times."""
    value: str = "N"

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name or f"--{self.field.replace('_', '-')}", *self.more)


WHAT = (
    Flag("data", "a file, shipped:NAME, marked: or hub:OWNER/NAME", value="FILE"),
    Flag("name", "name of the run and of its adapter", value="NAME"),
    Flag("method", "how the weights learn (lora); qlora, qdora and qpissa pack the base", METHODS),
    Flag("quant", "how the base is held: nf4 is 4 bits, bnb8 is 8 (none)", ("none", "nf4", "bnb8")),
    Flag("objective", "what is learnt (chat): plain text, preferences, or by a reward (grpo)", OBJECTIVES),
    Flag("rank", "rank of the adapter (16)", whole(0)),
    Flag("alpha", "its scale is alpha / rank (twice the rank)", whole(0)),
    Flag("dropout", "dropout before the adapter (0)", number(0), value="P"),
    Flag("targets", "attention, mlp, attention+mlp, or a pattern of modules' names", value="WHERE"),
    Flag("loraplus", "LoRA+: the rate of B over the rate of A (1)", number(0)),
    Flag("beta", "of dpo, orpo and kto (0.1)", number(0)),
    Flag("reward", "of grpo: exact, length, or a Python file, which runs (exact)", value="FILE"),
    Flag("peft", "a raw key of PEFT's LoraConfig, as JSON or text", name="--peft", many=True, value="K=V"),
)
DATA = (
    Flag("length", "longer rows are left out (1024 tokens)", whole(0)),
    Flag("packing", "several rows in one sequence, each blind to the others", bool),
    Flag("limit", "rows that are read at most (all)", whole(0)),
    Flag("columns", "which column means what, e.g. prompt=frage", name="--column", many=True, value="A=B"),
    Flag("eval_fraction", "share of rows held out (0.05)", number(0), value="S"),
    Flag("eval_data", "a dataset to evaluate on", value="FILE"),
)
HOW = (
    Flag("steps", "optimiser steps (counted from --epochs)", whole(0), more=("--max-steps",)),
    Flag("epochs", "times through the data (3, more often for few rows)", number(0)),
    Flag("batch", "rows of a micro-batch (4)", whole(0)),
    Flag("accumulate", "micro-batches of a step (1)", whole(0)),
    Flag("rate", "peak learning rate (by the method and the model's size)", number(0), value="R"),
    Flag("schedule", "how the rate falls (cosine)", ("cosine", "linear", "constant")),
    Flag("warmup", "share of steps until the peak (0.05)", number(0), value="S"),
    Flag("weight_decay", "weight decay of AdamW (0)", number(0), value="D"),
    Flag("clip", "largest gradient norm (1)", number(0)),
    Flag("eval_every", "steps between evaluations (a tenth)", whole(0)),
    Flag("save_every", "steps between checkpoints (with each evaluation)", whole(0)),
    Flag("early_stop", "evaluations without a better loss until it ends (never)", whole(0)),
    Flag("checkpointing", "compute layers again in backward (auto)", ("auto", "on", "off")),
    Flag("dtype", "type of the base's weights", DTYPES),
    Flag("device", "cpu, cuda:1 (the one with most free memory)", value="NAME"),
    Flag("seed", "of the order, the split and the start (0)", whole(0)),
)
WATCH = (
    Flag("samples", "a prompt that is answered at each evaluation", name="--sample", many=True, value="TEXT"),
    Flag("tags", "a tag of the run", name="--tag", many=True, value="TAG"),
    Flag("group", "name of what it is started together with", value="NAME"),
    Flag("trackers", "log to this tracker too", TRACKERS, name="--tracker", many=True),
)
FLAGS = (*WHAT, *DATA, *HOW, *WATCH)
"""Every field of TrainSpec but `model`, which is -m as everywhere."""


def add_train_command(commands: Any) -> None:
    """Add `train`; `commands` is what `add_subparsers` returned."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = commands.add_parser("train", help="train an adapter", formatter_class=raw, epilog=TRAIN_END)
    parser.description = TRAIN
    parser.add_argument("spec", metavar="RUN.toml", type=text, nargs="?", help="a run as a file")
    parser.add_argument("--follow", action="store_true", help="show each step until the run ends")
    parser.add_argument("--dry-run", action="store_true", help="say what it would take, and train nothing")
    parser.add_argument(
        "--when-idle", action="store_true", help="start once nobody has chatted for five minutes"
    )
    parser.add_argument("--hold", action="store_true", help="store it, to be started by `qwill runs resume`")
    add_json(parser, "print JSON, one object a line")
    add_run_flags(parser)


def add_run_flags(parser: argparse.ArgumentParser) -> None:
    """An option for each key of run.toml, in groups."""
    what = parser.add_argument_group("what is trained")
    add_model(what)
    what.add_argument("--preset", choices=PRESETS, help="settings by memory; further options win over it")
    _add(what, WHAT)
    _add(parser.add_argument_group("the data"), DATA)
    _add(parser.add_argument_group("how"), HOW)
    _add(parser.add_argument_group("to watch and to find it again"), WATCH)


def _add(group: Any, flags: tuple[Flag, ...]) -> None:
    for flag in flags:
        options: dict[str, Any] = {"dest": flag.field, "default": None, "help": flag.about}
        if flag.kind is bool:
            options["action"] = argparse.BooleanOptionalAction
        else:
            if isinstance(flag.kind, tuple):
                options["choices"] = flag.kind
            else:
                options |= {"type": flag.kind, "metavar": flag.value}
            if flag.many:
                options["action"] = "append"
        group.add_argument(*flag.names, **options)
