"""The grammar of `qwill chats`. Imports nothing slow."""

from __future__ import annotations

import argparse
from typing import Any

from tui.cli.options import add_json, text, whole

EXAMPLES = """\
a CHAT is its id, its title, or the start of its id

examples:
  qwill chats list --tag law
  qwill chats search lease contract
  qwill chats export "Turkish contracts" -o contract.md
  qwill chats export --all -o everything.json
  qwill chats import ~/Downloads/conversations.json
"""
FORMS = ("md", "json", "jsonl")


def add_chats_command(commands: Any) -> None:
    """Add the sub-command to the top level's; `commands` is what `add_subparsers` returned."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = commands.add_parser(
        "chats",
        help="list, search, export, import, rename, archive and delete chats",
        formatter_class=raw,
        epilog=EXAMPLES,
    )
    parser.description = "The chats that are saved here."
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    _add_list(actions.add_parser("list", help="chats, the newest first"))
    _add_search(actions.add_parser("search", help="find words in titles, tags, messages and thoughts"))
    _add_export(actions.add_parser("export", help="write chats into files"))
    _add_import(actions.add_parser("import", help="read chats of Qwill and of other programs"))
    rename = actions.add_parser("rename", help="give a chat another title")
    archive = actions.add_parser("archive", help="take a chat out of the list")
    delete = actions.add_parser("delete", help="move a chat to the trash")
    for action in (rename, archive, delete):
        action.add_argument("chat", metavar="CHAT", type=text, help="id, title, or start of the id")
    rename.add_argument("title", metavar="TITLE", type=text)
    archive.add_argument("--undo", action="store_true", help="put it back into the list")
    delete.add_argument("--undo", action="store_true", help="bring it back; CHAT is its whole id")
    for action in (rename, archive, delete):
        add_json(action)


def _add_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tag", metavar="TAG", type=text, default="", help="only those with this tag")
    parser.add_argument("--archived", action="store_true", help="the archived ones too")
    parser.add_argument("--limit", metavar="N", type=whole(1), default=50, help="at most so many (50)")
    add_json(parser)


def _add_search(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", metavar="WORD", type=text, nargs="+", help="all of them, or how they begin")
    parser.add_argument("--limit", metavar="N", type=whole(1), default=20, help="at most so many (20)")
    add_json(parser)


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("chats", metavar="CHAT", type=text, nargs="*", help="the newest, if none is named")
    parser.add_argument("--all", action="store_true", help="every chat, the archived ones too")
    parser.add_argument(
        "--format",
        choices=FORMS,
        help="md: to read; json: everything, for Qwill again; jsonl: training data (md)",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="PATH",
        type=text,
        default="",
        help="a file, a folder, or `-` for stdout; nothing is written over",
    )
    add_json(parser)


def _add_import(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "What is in a file tells its format: Qwill's JSON, ChatGPT's conversations.json (its zip too), "
        "ShareGPT, messages as JSON or JSONL, LM Studio's conversations, oterm's store.db."
    )
    parser.add_argument("files", metavar="FILE", type=text, nargs="+", help="a file or a folder")
    add_json(parser)
