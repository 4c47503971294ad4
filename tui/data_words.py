"""What the data screen says of a dataset: counts, what is wrong, how long its rows are. Pure."""

from __future__ import annotations

from textual.content import Content

from engine.api import runs
from tui.format import percent, plural, tokens
from tui.text import clean
from tui.widgets.lines import Piece, line, name, stack

BAR = 40
"""Cells of the longest bar of a histogram."""
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def summary(report: runs.DatasetReport) -> Content:
    """What it is, and what of it is learnt."""
    kind = report.kind or "rows"
    form = f"{report.form} in {report.file}" if report.form and report.file else report.form
    pieces: list[Piece] = [(f"{report.rows:,} usable {kind}", "bold")]
    pieces += [(f" · {name(each)}", "$thought") for each in (form, _learnt(report)) if each]
    if report.examples and report.examples != report.rows:
        pieces.append((f" · {plural(report.examples, 'answer')} to learn from", "$thought"))
    return line(*pieces)


def _learnt(report: runs.DatasetReport) -> str:
    if report.tokens is not None and report.tokens.total:
        share = percent(report.labelled / report.tokens.total)
        return f"{tokens(report.tokens.total)} tokens, {share} learned"
    if report.characters:
        return f"{percent(report.labelled_characters / report.characters)} of the text is learned"
    return ""


def findings(report: runs.DatasetReport) -> list[Content]:
    """What should be looked at, a line each: what is left out, and what is used all the same."""
    rows = (
        (report.bad, "row", "cannot be used and is left out", "cannot be used and are left out"),
        (report.empty, "of these", "has an empty question or answer", "have an empty question or answer"),
        (report.too_long, "answer", "is longer than the run's length and left out", _LONG),
        (report.unmatched, "answer", "is hidden by the model's template and left out", _HIDDEN),
        (report.repeated, "row", "says the same as another one", "say the same as another one"),
        (report.leaks, "row", "is in the evaluation data too: its loss will look too good", _LEAKED),
        (report.secrets, "row", "has what looks like a key or a password", _SECRET),
        (report.unstopped, "answer", "does not teach where to stop", "do not teach where to stop"),
    )
    found = []
    for count, noun, one, many in rows:
        if count:
            what = f"{count:,} {noun}" if noun == "of these" else plural(count, noun)
            found.append(line(("! ", "bold $warning"), f"{what} {one if count == 1 else many}."))
    return found or [line(("✓ ", "bold $accent"), "Nothing is left out, repeated, empty or secret.")]


_LONG = "are longer than the run's length and left out"
_HIDDEN = "are hidden by the model's template and left out"
_LEAKED = "are in the evaluation data too: their loss will look too good"
_SECRET = "have what looks like a key or a password"


def histogram(spread: runs.Spread, unit: str, width: int) -> Content:
    """The lengths as bars, a line each bin, with the median and the longest in words."""
    low, _, middle, _, most, longest = spread.quantiles
    head = line(
        (f"Length of a row in {unit}", "$accent"),
        (f"  {low:,} to {longest:,} · half up to {middle:,} · 95 % up to {most:,}", "$thought"),
    )
    top = max(spread.counts, default=0)
    room = max(4, min(BAR, width - 26))
    edges = [f"{edge:,}" for edge in spread.edges[:-1]]
    wide = max(map(len, edges), default=1)
    lines = [
        line(
            (f"{edge:>{wide}} ", "$thought"),
            (_bar(count / top if top else 0, room), "$accent"),
            f" {count:,}",
        )
        for edge, count in zip(edges, spread.counts, strict=True)
    ]
    return stack([head, *lines])


def problems(report: runs.DatasetReport) -> Content:
    """Line, key, and what is wrong with each."""
    lines = [_problem(each) for each in report.problems]
    more = report.problem_count - len(report.problems)
    if more > 0:
        lines.append(line((f"and {more:,} more", "$thought")))
    return stack(lines)


def _problem(problem: runs.Problem) -> Content:
    left = (f"{problem.line:>6}  ", "$foreground")
    key = (f"{name(problem.key)}  " if problem.key else "", "$accent")
    used = "" if problem.fatal else " (used all the same)"
    return line(left, key, (clean(problem.what) + used, "$foreground 80%"))


def _bar(share: float, width: int) -> str:
    eighths = round(share * width * 8)
    if share and not eighths:
        eighths = 1  # a few among many are still some
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (_EIGHTHS[rest] if rest else "")
