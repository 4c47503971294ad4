"""The grammar of `eval` and `bake`. Imports nothing slow."""

from __future__ import annotations

import argparse
from typing import Any

from tui.cli.options import add_json, add_model, text, whole

EVAL = """\
Measure a model, and adapters on it, on a file of rows that none of them was trained on. All get the same
rows; each figure comes with the number of rows and its standard error.
"""
EVAL_END = """\
metrics:
  exact       share of rows whose greedy answer is the row's last one, but for case, spaces and a full stop
  perplexity  of the tokens of the rows' last answers, or of plain texts; lower is better
  choice      share of rows whose right choice is the likeliest by its mean log-probability a token; a row is
              {"question": "...", "choices": ["...", "..."], "answer": 0}

with --harness:
  lm-evaluation-harness measures the model, with at most one adapter on it, in a process of its own that
  loads the weights once more. Nothing is fetched: a task's data must be here. --limit is per task; --metric
  and --max-tokens are the task's own. With --json: {"job", "model", "scores": [{"task", "metric", "value",
  "error"}], "seconds"}.

examples:
  qwill eval --model demo --harness hellaswag,./quiz.yaml --limit 100
  qwill eval --model demo --adapter 0007-pirate --data held-out.jsonl
  qwill eval --model demo --data quiz.jsonl --metric choice --limit 200 --json
"""
BAKE = """\
Train an adapter that answers as a system prompt asks, without it: the model answers questions under the
system prompt, and learns the same answers with the prompt left out.
"""
BAKE_END = """\
examples:
  qwill bake --system "You are a terse pirate." --model demo --follow
  qwill bake --chat 3f2a --count 80
"""


def add_evaluate_commands(commands: Any) -> None:
    """Add the sub-commands to the top level's; `commands` is what `add_subparsers` returned."""
    raw = argparse.RawDescriptionHelpFormatter
    _add_eval(
        commands.add_parser(
            "eval",
            help="measure a model and adapters on held-out rows",
            formatter_class=raw,
            epilog=EVAL_END,
        )
    )
    _add_bake(
        commands.add_parser(
            "bake", help="train a system prompt into an adapter", formatter_class=raw, epilog=BAKE_END
        )
    )


def _add_eval(parser: argparse.ArgumentParser) -> None:
    parser.description = EVAL
    add_model(parser)
    parser.add_argument(
        "-a",
        "--adapter",
        metavar="ADAPTER",
        type=text,
        action="append",
        default=[],
        help="measure this one beside the base; may be given again",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--data", metavar="FILE", type=text, help="the held-out rows")
    what.add_argument(
        "--harness",
        metavar="TASK[,TASK]",
        type=text,
        help="tasks of lm-evaluation-harness instead (extra `eval`), by name or as YAML files",
    )
    parser.add_argument(
        "--metric",
        choices=("exact", "perplexity", "choice"),
        default="",
        help="what is measured (choice for rows with choices, perplexity for texts, else exact)",
    )
    parser.add_argument("--limit", metavar="N", type=whole(0), default=0, help="rows at most (all)")
    parser.add_argument(
        "--max-tokens", metavar="N", type=whole(1), default=256, help="of an answer, of `exact` (256)"
    )
    parser.add_argument("--evict", action="store_true", help="let another model go if need be")
    add_json(parser)


def _add_bake(parser: argparse.ArgumentParser) -> None:
    parser.description = BAKE
    add_model(parser)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--chat", metavar="ID", type=text, help="bake this chat's system prompt")
    what.add_argument("--system", metavar="TEXT", type=text, help="bake this text")
    parser.add_argument(
        "--count", metavar="N", type=whole(2), default=40, help="questions that are asked (40)"
    )
    parser.add_argument("--name", metavar="NAME", type=text, default="", help="name of the adapter")
    parser.add_argument(
        "--only-data", action="store_true", help="write the dataset, print its path, and train nothing"
    )
    parser.add_argument("--follow", action="store_true", help="show each step until the run ends")
    parser.add_argument("--evict", action="store_true", help="let another model go if need be")
    add_json(parser)
