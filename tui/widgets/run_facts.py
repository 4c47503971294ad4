"""Beside the chart: what a run was made of and how it is; of several, their values and what differs."""

from __future__ import annotations

import textwrap

from textual.content import Content

from engine.api import runs
from tui.format import clock, parameters, seconds, shorten, size
from tui.overlay_cells import colour, letter
from tui.run_diff import differing, sentence, signed
from tui.run_sizes import measured_words, rows_words
from tui.run_values import loss, plain_number, shown, value
from tui.run_view import RunView
from tui.state import State
from tui.text import clean
from tui.widgets.lines import line, name
from tui.widgets.run_chart import legend
from tui.widgets.run_health import finding_lines, sample_lines
from tui.widgets.run_lines import standing
from tui.widgets.run_painted import RunPainted

_LABEL = 13
_ON = {"attention": "attention", "mlp": "MLP", "attention+mlp": "attention + MLP"}


class RunFacts(RunPainted):
    """A column of labels and values."""

    DEFAULT_CSS = """
    RunFacts {
        height: 1fr;
        border-left: solid $rule;
        background: $background;
    }
    """

    def __init__(self, state: State, view: RunView) -> None:
        super().__init__(state)
        self.view = view

    def lines(self, width: int, height: int) -> list[Content]:
        """The error and the findings first, where there are some."""
        if len(self.view.drawn) > 1:
            return self._several(width, height)
        run = self._state.engine.runs.get(self._run)
        if run is None:
            return []
        lines: list[Content] = []
        if run.error is not None:
            for text in textwrap.wrap(clean(run.error.sentence()), max(10, width - 3)):
                lines.append(line((f"  {text}", "$warning")))
            lines.append(line(""))
        lines += finding_lines(run, width)
        lines += sample_lines(self.view.curve(run), width)
        model = self._state.engine.model(run.spec.model)
        eta = self._state.engine.etas.get(run.id)
        for label, text in facts(run, model.name if model else run.spec.model, eta):
            words = shorten(name(text), max(4, width - _LABEL - 3))
            lines.append(line((f"  {label:<{_LABEL}}", "$thought"), words) if label else line(""))
        return lines[:height]

    def _several(self, width: int, height: int) -> list[Content]:
        """Values at the crosshair, what changed, and the settings that differ."""
        drawn = self.view.drawn
        lines = legend(self.view, self.view.readings(), width, max(3, height // 2))
        if len(drawn) == 2:
            lines.append(line(""))
            words = textwrap.wrap(clean(sentence(drawn[0], drawn[1])), max(10, width - 3))
            lines += [line(f"  {text}") for text in words[:3]]
        found = differing(drawn)
        lines += [line(""), line(("  WHAT DIFFERS" if found else "  The same settings.", "$thought"))]
        for each in found:
            lines.append(line((f"  {each.label}", "$thought")))
            for text, members in _grouped(each.values, drawn, self.view.picks.chosen):
                lines.append(
                    line("   ", *members, f" {shorten(name(text), max(4, width - 5 - len(members)))}")
                )
        if len(lines) > height > 1:
            return [*lines[: height - 1], line(("  … v shows all", "$thought"))]
        return lines


def _grouped(
    values: tuple[str, ...], drawn: list[runs.RunInfo], numbers: dict[str, int]
) -> list[tuple[str, list[tuple[str, str]]]]:
    """Each value once, with the letters of the runs that have it."""
    found: dict[str, list[tuple[str, str]]] = {}
    for text, run in zip(values, drawn, strict=True):
        found.setdefault(text, []).append((letter(numbers.get(run.id, 0)), f"bold {colour(run.id)}"))
    return list(found.items())


def facts(run: runs.RunInfo, model: str, eta: float | None = None) -> list[tuple[str, str]]:
    """Labels with their values; an empty label is a gap."""
    spec = run.spec
    found = [("state", standing(run))]
    if eta is not None and run.state == "running":
        found.append(("time left", seconds(eta)))
    found += [("base", model), ("data", shown("data", spec.data)), *_labels(run), ("", "")]
    method = shown("method", value(run, "method"))
    steps = f"{run.steps or spec.steps:,} steps"
    found += [
        (method, f"rank {spec.rank}, alpha {spec.alpha or 2 * spec.rank:g}"),
        ("on", _ON.get(spec.targets, spec.targets)),
        ("rate", f"{plain_number(spec.rate) if spec.rate else 'auto'}, warm-up {spec.warmup * 100:g} %"),
        ("batch", f"{spec.batch} × {spec.accumulate}, rows to {spec.length:,}"),
        ("length", steps if spec.steps or not spec.epochs else f"{steps} ({spec.epochs:g} epochs)"),
        ("held out", f"{spec.eval_fraction * 100:g} %, seed {spec.seed}"),
        ("", ""),
        *_measured(run),
        ("", ""),
    ]
    if run.data_hash:
        found.append(("data hash", run.data_hash[:16]))
    found += [(package, version) for package, version in sorted(run.versions.items())]
    return found


def _labels(run: runs.RunInfo) -> list[tuple[str, str]]:
    """What people call it."""
    found = [("tags", " ".join(run.tags)), ("group", run.spec.group), ("note", run.note)]
    return [(label, text) for label, text in found if text]


def _measured(run: runs.RunInfo) -> list[tuple[str, str]]:
    """What came of it so far."""
    found = [("started", clock(run.started or run.created))]
    if run.ended and run.started:
        found.append(("took", seconds(run.took)))
    if run.best_eval is not None:
        found.append(("best eval", f"{loss(run.best_eval)} at step {run.best_step:,}"))
    if run.tokens_per_s:
        found.append(("speed", f"{run.tokens_per_s:,.0f} tokens/s"))
    if run.grad_norm and run.state == "running":
        found.append(("gradient", plain_number(run.grad_norm)))
    if run.rows:
        found.append(("rows", rows_words(run)))
    if run.tokens:
        found.append(("tokens", parameters(run.tokens)))
    if run.peak:
        found.append(("peak", size(run.peak)))
    if run.predicted:
        found.append(("predicted", size(run.predicted)))
    if run.measured:
        found.append(("measured", measured_words(run)))
    if run.adapter_bytes:
        found.append(("adapter", size(run.adapter_bytes)))
    if run.forgetting is not None:
        found.append(("forgetting", f"{signed(run.forgetting)} nats"))
    if run.resumed:
        found.append(("taken up at", ", ".join(f"{step:,}" for step in run.resumed[-4:])))
    if run.device:
        found.append(("device", run.device))
    if run.origin:
        found.append(("trained on", run.origin))
    return found
