"""What a run's health looks like: its newest findings with the key to press, and its newest answers."""

from __future__ import annotations

import textwrap

from textual.content import Content

from engine.api import runs
from tui.actions import BY_ID, key_word
from tui.curve import Curve
from tui.format import shorten
from tui.text import clean, clean_name
from tui.widgets.lines import line

MOST = 3
"""Findings, and answers to fixed prompts, that are shown."""
ANSWER = 3
"""Lines of an answer at most."""
_KEYS = {
    "run.stop": "stop_run",
    "run.pause": "pause_run",
    "run.again": "train_again",
    "run.duplicate": "train_again",
    "run.tweak": "train_again",
    "run.resume": "pause_run",
    "run.checkpoints": "list_checkpoints",
}
"""What a finding suggests, by the action that does it."""


_WHILE_IT_TRAINS = ("run.stop", "run.pause", "run.resume")


def suggested(finding: runs.RunFinding, *, ended: bool = False) -> str:
    """`S stops the run`: the key that a finding suggests; empty without one that does something now."""
    action = BY_ID.get(_KEYS.get(finding.key, finding.key))
    if action is None or not action.keys or (ended and finding.key in _WHILE_IT_TRAINS):
        return ""
    return f"{key_word(action.keys[0])}: {action.label.lower()}"


def finding_words(finding: runs.RunFinding, *, ended: bool = False) -> str:
    """`! step 60: The eval loss rises while the loss falls. S: stop the run`."""
    title = clean(finding.title).rstrip(".")
    key = suggested(finding, ended=ended)
    return f"! step {finding.step:,}: {title}." + (f" {key}" if key else "")


def finding_lines(run: runs.RunInfo, width: int) -> list[Content]:
    """The newest findings first; nothing while all is well."""
    lines: list[Content] = []
    ended = run.state in runs.ENDED_STATES
    for finding in reversed(run.findings[-MOST:]):
        for text in textwrap.wrap(finding_words(finding, ended=ended), max(10, width - 3)):
            lines.append(line((f"  {text}", "$warning")))
    return [*lines, line("")] if lines else []


def sample_lines(curve: Curve, width: int) -> list[Content]:
    """The newest answers to the run's fixed prompts; nothing where it has none."""
    if not curve.samples:
        return []
    newest = curve.samples[-1].step
    lines = [line((f"  AT STEP {newest:,}", "$thought"))]
    for sample in [each for each in curve.samples if each.step == newest][:MOST]:
        lines.append(line((f"  › {shorten(clean_name(sample.prompt), width - 6)}", "$thought")))
        words = textwrap.wrap(clean_name(sample.text), max(10, width - 5))
        more = " …" if len(words) > ANSWER or not sample.whole else ""
        shown = words[:ANSWER] or ["(nothing)"]
        lines += [line(f"    {text}") for text in [*shown[:-1], shown[-1] + more]]
    return [*lines, line("")]
