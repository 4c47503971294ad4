"""The grammar of `qwill models` where it is about the hub and its cache. Imports nothing slow."""

from __future__ import annotations

from typing import Any

from tui.cli.options import add_json, text, whole

PULL_END = """\
Ctrl+C cancels and keeps what came; the same command goes on with it. A download that is cut off by
anything else (a closed lid, an engine that ends) goes on by itself when the engine runs again.
"""


def add_hub(actions: Any) -> None:
    """Add the actions to those of `models`; `actions` is what `add_subparsers` returned."""
    search = actions.add_parser("search", help="models on the hub by name (asks the network)")
    search.add_argument(
        "text", metavar="TEXT", type=text, help="words of the name; modelscope:TEXT asks ModelScope"
    )
    search.add_argument("--limit", metavar="N", type=whole(1), default=20, help="rows at most (20)")
    search.add_argument("--author", metavar="ORG", type=text, default="", help="only of this organisation")
    search.add_argument("--kind", choices=("safetensors", "gguf"), default="", help="only with such files")
    search.add_argument(
        "--order",
        choices=("downloads", "likes", "updated", "trending"),
        default="downloads",
        help="best first",
    )
    card = actions.add_parser("card", help="a model's card from the hub (asks the network)")
    files = actions.add_parser("files", help="a model's files and sizes on the hub (asks the network)")
    pull = actions.add_parser("pull", help="download a model into the Hugging Face cache", epilog=PULL_END)
    for action in (card, files, pull):
        action.add_argument(
            "id", metavar="ID[@REVISION]", type=text, help="such as Qwen/Qwen3-0.6B, or modelscope:ORG/NAME"
        )
    pull.add_argument(
        "--file",
        metavar="FILE",
        dest="files",
        type=text,
        action="append",
        default=[],
        help="one GGUF file, or a part of its name that no other has (Q4_K_M)",
    )
    listing = actions.add_parser("downloads", help="downloads under way, cancelled and failed")
    listing.add_argument(
        "--cancel", metavar="ID", type=text, default="", help="cancel this one (id or model)"
    )
    listing.add_argument(
        "--discard", action="store_true", help="with --cancel: drop what came, and forget it"
    )
    remove = actions.add_parser("rm", help="delete a hub model from the cache")
    remove.description = (
        "Says what would be freed and asks; files that other revisions share stay. Where nobody can be "
        "asked, nothing is deleted without --yes."
    )
    remove.add_argument("id", metavar="ID[@REVISION]", type=text, help="all of it, or one revision")
    remove.add_argument("--yes", action="store_true", help="delete without asking")
    for action in (search, card, files, pull, listing, remove):
        add_json(action)
