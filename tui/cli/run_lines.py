"""The steps of a run as they are printed: lines for people, objects for programs."""

from __future__ import annotations

import sys
from typing import Any

from engine.api import runs
from tui.cli import output
from tui.cli.progress_line import CLEAR_LINE
from tui.cli.run_rows import loss
from tui.format import rate, seconds


def show_of(*, as_json: bool) -> Show:
    """Objects, one line that is written over on a terminal, or a line a step in a pipe."""
    if as_json:
        return Objects()
    return OneLine() if sys.stdout.isatty() else Show()


class Show:
    """Prints steps, a line each."""

    def step(self, info: runs.RunInfo, facts: dict[str, Any]) -> None:
        """One step; see `Follower` for the facts."""
        print(words(facts), flush=True)

    def phase(self, info: runs.RunInfo) -> None:
        """The run does something else now."""

    def aside(self, words: str) -> None:
        """Something about the link to the engine."""
        self.close()
        print(f"qwill: {output.line(words)}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """End the line that was begun."""


class Objects(Show):
    """One JSON object a step."""

    def step(self, info: runs.RunInfo, facts: dict[str, Any]) -> None:
        """As it is."""
        output.say_json(facts)
        sys.stdout.flush()


class OneLine(Show):
    """On a terminal: one line that is written over."""

    def __init__(self) -> None:
        self._begun = False

    def step(self, info: runs.RunInfo, facts: dict[str, Any]) -> None:
        """The newest step."""
        self._write(words(facts))

    def phase(self, info: runs.RunInfo) -> None:
        """Before the first step there is nothing else to see."""
        if not info.step:
            left = f" · about {seconds(info.eta_s)} left" if info.eta_s is not None else ""
            self._write(f"{info.id} · {info.state} · {info.phase}{left}")

    def close(self) -> None:
        """Leave the last line as it is."""
        if self._begun:
            print(flush=True)
        self._begun = False

    def _write(self, text: str) -> None:
        print(f"{CLEAR_LINE}{output.line(text)}", end="", flush=True)
        self._begun = True


def words(facts: dict[str, Any]) -> str:
    """`step 12/60 · loss 1.234 · eval 1.300 · rate 3.9e-03 · 412 tok/s · 3.2 s left`."""
    parts = [f"step {facts['step']}/{facts['steps']}", f"loss {loss(facts['loss'])}"]
    if facts["eval_loss"] is not None:
        parts.append(f"eval {loss(facts['eval_loss'])}")
    parts += [f"rate {facts['rate']:.1e}", rate(facts["tokens_per_s"])]
    if facts["eta_s"] is not None:
        parts.append(f"{seconds(facts['eta_s'])} left")
    return " · ".join(parts)
