"""How a model answers here, in words: its averages by form, and what is slow or high about them. Pure."""

from __future__ import annotations

from engine.api import commands
from tui.fit import DTYPES
from tui.format import milliseconds, rate, size

FINDINGS = {"speed": "slow", "first token": "late", "memory": "large"}
"""Labels of what is not as good as it was."""
FORM = 9
"""Characters of a form's name that fit a label."""


def form(health: commands.ModelHealth) -> str:
    """`int4`, `bf16`; `replies` where nobody says how it is held, as servers do not."""
    held = health.held_as
    return DTYPES.get(held, held)[:FORM] or "replies"


def averages(health: commands.ModelHealth) -> str:
    """`41.2 tok/s · first token 180 ms · 1.9 G · 10 replies`."""
    parts = [
        rate(health.tokens_per_s) if health.tokens_per_s else "",
        f"first token {milliseconds(health.ttft_ms)}" if health.ttft_ms else "",
        size(health.memory) if health.memory else "",
        f"{health.replies:,} replies" if health.replies != 1 else "one reply",
    ]
    return " · ".join(part for part in parts if part)


def finding(found: commands.Finding) -> tuple[str, str]:
    """A label, and what is so, why, and what to change."""
    parts = (found.sentence, found.cause, found.remedy)
    return FINDINGS[found.what], ". ".join(part.rstrip(".") for part in parts if part) + "."


def tip(health: commands.ModelHealth) -> str:
    """That another form would be faster, without the command line's way to it; empty for none."""
    words = health.tip.partition("; try ")[0].rstrip(".")
    return f"{words}. F2, then q packs it." if words else ""
