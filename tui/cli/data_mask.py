"""One row as a run sees it, in plain text: what is learnt stands between ▌ and ▐."""

from __future__ import annotations

from itertools import groupby

from engine.api import commands
from tui.cli import output
from tui.format import plural
from tui.text import clean

OPEN, CLOSE, RETURN = "▌", "▐", "↵"


def show(preview: commands.MaskPreview) -> None:
    """A line of facts, then the row."""
    output.say(facts(preview))
    if preview.why:
        output.say(f"{preview.why}.")
    for line in marked(preview).split("\n"):
        print(clean(line))


def facts(preview: commands.MaskPreview) -> str:
    """`row 17 of 1,204 · 418 tokens · 171 labelled (41 %) · stop token trained: yes · nothing cut`."""
    share = round(100 * preview.labelled / preview.total) if preview.total else 0
    parts = [f"row {preview.row:,} of {preview.rows:,}"]
    if preview.side:
        parts.append(preview.side)
    elif preview.answers > 1:
        parts.append(f"answer {preview.answer} of {preview.answers}")
    if preview.good is not None:
        parts.append("good" if preview.good else "bad")
    parts += [
        plural(preview.total, "token"),
        f"{preview.labelled:,} labelled ({share} %)",
        f"stop token trained: {'yes' if preview.stop_trained else 'no'}",
        f"left out: {plural(preview.cut, 'token')} too long" if preview.cut else "nothing cut",
    ]
    return " · ".join(parts)


def marked(preview: commands.MaskPreview) -> str:
    """The row's text; a line's end is shown, and what is learnt is marked."""
    text = ""
    for labelled, tokens in groupby(preview.tokens, key=lambda token: token.labelled):
        piece = "".join(token.text for token in tokens).replace("\n", RETURN + "\n")
        text += f"{OPEN}{piece}{CLOSE}" if labelled else piece
    return text
