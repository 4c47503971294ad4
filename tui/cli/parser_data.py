"""The grammar of `qwill data`. Imports nothing slow."""

from __future__ import annotations

import argparse
from typing import Any

from tui.cli.options import add_json, add_model, text, whole

OBJECTIVES = ("chat", "text", "dpo", "orpo", "kto")
SOURCES = "a file, shipped:NAME, marked: or hub:OWNER/NAME[:CONFIG][@SPLIT]"
MEANINGS = "messages, prompt, answer, input, system, chosen, rejected, label or text"
END = """\
what a row can be, in JSONL, JSON, CSV, TSV or Parquet:
  {"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}
  {"prompt": "...", "completion": "..."}, also question and answer, query and response
  {"instruction": "...", "input": "...", "output": "..."}
  {"conversations": [{"from": "human", "value": "..."}, {"from": "gpt", "value": "..."}]}
  {"prompt": "...", "chosen": "...", "rejected": "..."}     a preference, for dpo, orpo and kto
  {"prompt": "...", "completion": "...", "label": true}     a verdict, for kto
  {"text": "..."}, or a .txt file, a paragraph each         for continued pretraining

examples:
  qwill data check mine.jsonl --model demo
  qwill data check tabelle.csv --column prompt=frage --column answer=antwort
  qwill data preview mine.jsonl --row 17 --model Qwen/Qwen3-0.6B
  qwill data paste --name faq < columns.txt
  qwill data fetch hub:trl-lib/Capybara --limit 500
"""


def add_data_command(commands: Any) -> None:
    """Add `data` to the top level's; `commands` is what `add_subparsers` returned."""
    parser = commands.add_parser(
        "data",
        help="check and preview datasets, make one of pasted text, list those that come with Qwill",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=END,
    )
    parser.description = "Datasets: what a run learns from."
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    check = actions.add_parser("check", help="name what is wrong in a dataset, by line and key")
    check.description = (
        "Exit code 0 when a run would use every row; 1 when it would leave one out, or has fewer than two."
    )
    preview = actions.add_parser("preview", help="one row as a run sees it: what is learnt stands in ▌ ▐")
    paste = actions.add_parser("paste", help="make a dataset of questions and answers from stdin or a file")
    fetch = actions.add_parser("fetch", help="fetch the first rows of a dataset of the hub, and show some")
    listing = actions.add_parser("list", help="the datasets that come with Qwill")
    _add_source(check)
    _add_source(preview)
    check.add_argument(
        "--eval-data", metavar="FILE", type=text, default="", help="held out; looked for leaks"
    )
    preview.add_argument("--row", metavar="N", type=whole(1), default=1, help="of the usable rows (1)")
    preview.add_argument("--answer", metavar="N", type=whole(1), default=1, help="of a chat with several (1)")
    preview.add_argument("--rejected", action="store_true", help="of a preference: the worse answer")
    paste.add_argument(
        "file", metavar="FILE", type=text, nargs="?", default="-", help="`-` is stdin, and is what it reads"
    )
    paste.add_argument("--name", metavar="NAME", type=text, help="save it by this name; else only show it")
    paste.add_argument("--system", metavar="TEXT", type=text, default="", help="system prompt of every row")
    paste.add_argument("--append", action="store_true", help="add to the dataset of this name")
    fetch.add_argument("data", metavar="hub:OWNER/NAME", type=text, help="hub:OWNER/NAME[:CONFIG][@SPLIT]")
    fetch.add_argument("--limit", metavar="N", type=whole(1), default=1000, help="rows at most (1000)")
    for action in (check, preview, paste, fetch, listing):
        add_json(action)


def _add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="FILE", type=text, help=SOURCES)
    add_model(parser)
    parser.add_argument(
        "--column",
        metavar="MEANING=NAME",
        dest="columns",
        type=_column,
        action="append",
        default=[],
        help=f"what a column is, where its name does not say it: {MEANINGS}; may be given again",
    )
    parser.add_argument("--objective", choices=OBJECTIVES, help="what is to be learnt of it")
    parser.add_argument("--length", metavar="N", type=whole(16), default=1024, help="tokens at most (1024)")
    parser.add_argument("--limit", metavar="N", type=whole(0), default=0, help="rows that are read (all)")


def _column(value: str) -> tuple[str, str]:
    meaning, _, name = text(value).partition("=")
    if not name or meaning not in MEANINGS.replace(" or", ",").split(", "):
        raise argparse.ArgumentTypeError(f"{value!r} is not MEANING=NAME; a meaning is {MEANINGS}")
    return meaning, name
