"""LaTeX formulas in a text: where they stand, and how they read as Unicode.

Finding one needs no library; pylatexenc is imported with the first formula that is shown.
"""

from __future__ import annotations

import re
from typing import NamedTuple

LONGEST = 4000
"""Characters of a formula at most; what is longer stays as it was written."""
_ENVIRONMENTS = "equation|align|aligned|gather|gathered|multline|split|cases|matrix|[pbvBV]matrix"
_ENVIRONMENT = re.compile(rf"\\begin\{{((?:{_ENVIRONMENTS})\*?)\}}")
_MATHS = re.compile(
    r"[\\^_=<>+*/|]"  # a sign
    r"|^[^\W\d_]\w{0,2}$|^-?\d+(?:[.,]\d+)*$|^[^\W\d_]\([^()]*\)$"  # x, x1, 3.5, f(x)
    r"|[^\W\d_]-|-[^\W\d_]"  # n-1
)
"""What tells a formula between single dollars from two sums of money."""


class Formula(NamedTuple):
    """A formula in a text: what stands between its marks, where it ends, whether it has lines of its own."""

    source: str
    end: int
    display: bool


def formula_at(text: str, at: int) -> Formula | None:
    r"""The formula that begins here: `$…$`, `$$…$$`, `\(…\)`, `\[…\]`, `\boxed{…}`, `\begin{align}…`."""
    if text.startswith("$$", at):
        return _between(text, at, "$$", "$$", display=True)
    if text.startswith("$", at):
        return _dollar(text, at)
    if text.startswith("\\(", at):
        return _between(text, at, "\\(", "\\)", display=False)
    if text.startswith("\\[", at):
        return _between(text, at, "\\[", "\\]", display=True)
    if text.startswith("\\boxed{", at):
        end = _closing_brace(text, at + 6)
        return Formula(text[at:end], end, False) if end else None
    if match := _ENVIRONMENT.match(text, at):
        stop = text.find(f"\\end{{{match[1]}}}", match.end())
        end = stop + len(match[1]) + 6
        return Formula(text[at:end], end, True) if stop >= 0 and end - at <= LONGEST else None
    return None


def unfinished_at(text: str, at: int) -> str:
    r"""The mark `\(` or `\[` that begins here, which Markdown would take for an escaped bracket."""
    return text[at : at + 2] if text.startswith(("\\(", "\\["), at) else ""


def to_unicode(source: str) -> str:
    """A formula as it reads in Unicode, one line a row; as it was written where it cannot be read."""
    from tui.latex_words import words

    return words(source)


def _between(text: str, at: int, opening: str, closing: str, *, display: bool) -> Formula | None:
    start = at + len(opening)
    stop = text.find(closing, start, start + LONGEST)
    if stop < 0 or not text[start:stop].strip():
        return None
    return Formula(text[start:stop], stop + len(closing), display)


def _dollar(text: str, at: int) -> Formula | None:
    """`$…$` on one line, unless it reads like money: `$5 and $10`, `US$5`."""
    before, after = text[at - 1 : at], text[at + 1 : at + 2]
    if not after or after.isspace() or before.isalnum() or before in ("\\", "$"):
        return None
    stop = at + 1
    while True:
        stop = text.find("$", stop, at + LONGEST)
        if stop < 0 or "\n\n" in text[at:stop]:
            return None
        if text[stop - 1] != "\\":
            break
        stop += 1
    source = text[at + 1 : stop]
    if source[-1:].isspace() or text[stop + 1 : stop + 2].isdigit() or not _MATHS.search(source):
        return None
    return Formula(source, stop + 1, False)


def _closing_brace(text: str, at: int) -> int:
    """The index after the brace that closes the one at `at`; 0 where none does."""
    depth = 0
    for index in range(at, min(len(text), at + LONGEST)):
        if text[index] == "{" and text[index - 1] != "\\":
            depth += 1
        elif text[index] == "}" and text[index - 1] != "\\":
            depth -= 1
            if depth == 0:
                return index + 1
    return 0
