"""What a run was made of: its settings, versions, data, and the error that ended it."""

from __future__ import annotations

import textwrap

from textual.content import Content

from engine.api import runs
from tui.format import clock, seconds, shorten, size
from tui.text import clean
from tui.train_form import TARGETS
from tui.widgets.lines import line, name
from tui.widgets.run_lines import standing
from tui.widgets.run_painted import RunPainted

_LABEL = 13


class RunFacts(RunPainted):
    """A column of labels and values."""

    DEFAULT_CSS = """
    RunFacts {
        height: 1fr;
        border-left: solid $rule;
        background: $background;
    }
    """

    def lines(self, width: int, height: int) -> list[Content]:
        """The error first, where there is one."""
        run = self._state.engine.runs.get(self._run)
        if run is None:
            return []
        lines: list[Content] = []
        if run.error is not None:
            for text in textwrap.wrap(clean(run.error.sentence()), max(10, width - 3)):
                lines.append(line((f"  {text}", "$warning")))
            lines.append(line(""))
        model = self._state.engine.model(run.spec.model)
        for label, value in facts(run, model.name if model else run.spec.model):
            shown = shorten(name(value), max(4, width - _LABEL - 3))
            lines.append(line((f"  {label:<{_LABEL}}", "$thought"), shown) if label else line(""))
        return lines[:height]


def facts(run: runs.RunInfo, model: str) -> list[tuple[str, str]]:
    """Labels with their values; an empty label is a gap."""
    spec = run.spec
    found = [
        ("state", standing(run)),
        ("base", model),
        ("data", spec.data.removeprefix("shipped:").rpartition("/")[2]),
        ("", ""),
        ("LoRA", f"rank {spec.rank}, alpha {spec.alpha:g}"),
        ("on", TARGETS.get(spec.targets, spec.targets)),
        ("rate", f"{spec.rate:g}, warm-up {spec.warmup * 100:g} %"),
        ("batch", f"{spec.batch} × {spec.accumulate}, rows to {spec.length:,}"),
        (
            "length",
            f"{run.steps:,} steps ({spec.epochs:g} epochs)" if not spec.steps else f"{spec.steps:,} steps",
        ),
        ("held out", f"{spec.eval_fraction * 100:g} %, seed {spec.seed}"),
        ("", ""),
        ("started", clock(run.started or run.created)),
    ]
    if run.ended and run.started:
        found.append(("took", seconds(run.ended - run.started)))
    if run.tokens_per_s:
        found.append(("speed", f"{run.tokens_per_s:,.0f} tokens/s"))
    if run.peak:
        found.append(("peak", size(run.peak)))
    found.append(("", ""))
    if run.data_hash:
        found.append(("data hash", run.data_hash[:16]))
    found += [(package, version) for package, version in sorted(run.versions.items())]
    return found
