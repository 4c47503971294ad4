"""The code blocks of a reply, as `-x` prints them."""

from __future__ import annotations

from engine.api import fault


def blocks(text: str) -> list[str]:
    """What stands between the fences of Markdown text, in order, those in lists and quotes too."""
    from markdown_it import MarkdownIt  # only an extraction needs it

    return [token.content for token in MarkdownIt("commonmark").parse(text) if token.type == "fence"]


def extract(text: str, which: str) -> str:
    """Block `which` (1-based), or all of them with a blank line between; ends with a newline.

    Raises EngineError `no_code` when there is none.
    """
    found = blocks(text)
    if not found:
        raise fault("no_code", "The answer holds no code block", remedy="Leave out -x to see it")
    if which == "all":
        return "\n".join(found)
    if int(which) > len(found):
        held = "one code block" if len(found) == 1 else f"{len(found)} code blocks"
        raise fault("no_code", f"The answer holds {held}, not {which}")
    return found[int(which) - 1]
