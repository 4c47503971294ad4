"""What a check of a dataset found, as lines for people."""

from __future__ import annotations

from collections.abc import Iterator

from engine.api import runs
from tui.cli import output
from tui.format import plural, shorten

LEAST = 2
"""Usable rows that a run needs: one to learn from, one to be tested on."""
BAR = 24
"""Columns of the longest bar of a histogram."""


def show(report: runs.DatasetReport) -> None:
    """All of it: facts, how long the rows are, what is wrong by line and key."""
    output.table([line for line in (*_facts(report), *_counts(report)) if line[1]])
    for title, spread in (("characters a row", report.lengths), ("tokens an example", report.tokens)):
        if spread is not None and len(spread.counts) > 1:
            print()
            output.say(title)
            output.table(list(_bars(spread)), right=(0, 1))
    if report.problems:
        print()
        problems = [
            (f"line {p.line}", p.key or "-", p.what, "left out" if p.fatal else "used all the same")
            for p in report.problems
        ]
        output.table([("where", "key", "what", "so it is"), *problems])
    hidden = report.problem_count - len(report.problems)
    if hidden > 0:
        output.say(f"... and {plural(hidden, 'problem')} more.")
    if report.rows < LEAST:
        output.say(f"A run needs at least {LEAST} usable rows: one to learn from, one to be tested on.")
    if not report.form and report.keys:
        named = ", ".join(report.keys)
        output.say(f"Say what its columns ({named}) are: --column prompt=NAME --column answer=NAME.")


def _facts(report: runs.DatasetReport) -> Iterator[tuple[str, str]]:
    form = f"{report.form} in {report.file.upper()}" if report.form else ""
    yield "file", report.path
    yield "form", form
    yield "for", ", ".join(report.objectives)
    yield "rows", f"{report.rows:,} usable, {plural(report.turns, 'message')}"
    characters = f"{report.characters:,}, {report.labelled_characters:,} of them learnt"
    yield "characters", f"{characters}; {report.longest:,} in the longest row"
    yield "tokens", _tokens(report)
    yield "sha256", report.sha256
    yield "first", shorten(report.first, 70)


def _tokens(report: runs.DatasetReport) -> str:
    if report.tokens is None:
        return ""
    share = report.labelled / report.tokens.total if report.tokens.total else 0
    stops = "" if not report.unstopped else f"; {plural(report.unstopped, 'example')} without a learnt end"
    return f"{report.tokens.total:,} in {plural(report.examples, 'example')}, {share:.0%} labelled{stops}"


def _counts(report: runs.DatasetReport) -> Iterator[tuple[str, str]]:
    yield "left out", _some(report.bad, "row", f"{report.empty:,} of them empty" if report.empty else "")
    yield "too long", _some(report.too_long, "example", "left out, never cut")
    yield "hidden", _some(report.unmatched, "example", "the model's chat template drops the answer")
    yield "repeated", _some(report.repeated, "row")
    yield "secrets", _some(report.secrets, "row", "look at them before you train")
    yield "leaks", _some(report.leaks, "row", "its prompt is in the evaluation data too")
    if report.kind == "votes":
        yield "verdicts", f"{report.good:,} good, {report.rows - report.good:,} bad"


def _some(count: int, noun: str, more: str = "") -> str:
    if not count:
        return ""
    return plural(count, noun) + (f": {more}" if more else "")


def _bars(spread: runs.Spread) -> Iterator[tuple[str, str, str]]:
    most = max(spread.counts)
    for edge, count in zip(spread.edges, spread.counts, strict=False):
        width = round(count / most * BAR)
        yield f"{edge:,}", f"{count:,}", "▏" if count and not width else "█" * width
