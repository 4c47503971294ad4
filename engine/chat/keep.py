"""Earlier thoughts in a prompt whose template would strip them: put in by text, behind its back."""

from __future__ import annotations

import secrets
from typing import Any

from engine.chat.thinking import TAGS

Row = dict[str, Any]
"""One message as a template sees it."""
WISHES = {"preserve_thinking": True, "clear_thinking": False}
"""How templates that can keep thoughts are asked to. Source: the templates of Qwen3.5 and GLM-4.5."""
PROBE = "qwill-probe-thought"
PROBE_ROWS: list[Row] = [
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hi", "reasoning_content": PROBE, "thinking": PROBE},
    {"role": "user", "content": "Hello"},
]
"""A chat whose earlier thought either reaches the prompt or is stripped."""


def tags_of(source: str) -> tuple[str, str] | None:
    """The thinking tags that a template knows; None when it names none."""
    return next((tags for tags in TAGS if tags[1] in source), None)


def hide(rows: list[Row], tags: tuple[str, str]) -> tuple[list[Row], dict[str, str]]:
    """The chat with a mark in place of each earlier reply that has a thought, and what belongs there.

    What is put in has the form in which such models write: the thought between the tags, a blank line, the
    answer. Replies after the last question stay as they are: templates keep their thoughts.
    """
    opening, closing = tags
    last = max((place for place, row in enumerate(rows) if row["role"] == "user"), default=0)
    nonce = secrets.token_hex(8)  # nobody's text can hold it
    marked: list[Row] = []
    blocks: dict[str, str] = {}
    for place, row in enumerate(rows):
        thought = row.get("reasoning_content", "")
        if place >= last or not thought.strip():
            marked.append(row)
            continue
        mark = f"qwill-{nonce}-{place}."
        inside = thought.strip("\n")
        blocks[mark] = f"{opening}\n{inside}\n{closing}\n\n{row['content']}"
        marked.append({"role": row["role"], "content": mark})
    return marked, blocks


def reveal(prompt: str, blocks: dict[str, str]) -> str | None:
    """The prompt with every mark replaced; None when the template did not pass each of them on once."""
    if any(prompt.count(mark) != 1 for mark in blocks):
        return None
    for mark, block in blocks.items():
        prompt = prompt.replace(mark, block)
    return prompt
