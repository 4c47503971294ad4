"""What a run was foretold to take beside what it took, and how far that is to be trusted. Pure."""

from __future__ import annotations

from engine.api import runs
from tui.format import percent, plural, size


def measured_words(run: runs.RunInfo) -> str:
    """`1.0 G (+11 %)`: what it took, and how far the estimate was off; empty before it is known."""
    if not run.measured:
        return ""
    if not run.predicted:
        return size(run.measured)
    off = run.measured / run.predicted - 1
    return f"{size(run.measured)} ({'−' if off < 0 else '+'}{percent(abs(off))})"


def memory_words(run: runs.RunInfo) -> str:
    """`predicted 0.9 G, measured 1.0 G (+11 %)`; what is not known yet is left out."""
    parts = [f"predicted {size(run.predicted)}"] if run.predicted else []
    parts += [f"measured {measured_words(run)}"] if run.measured else []
    return ", ".join(parts)


def rows_words(run: runs.RunInfo) -> str:
    """`1,204, 12 answers left out`; empty until they are read."""
    if not run.rows:
        return ""
    left = f", {plural(run.left_out, 'answer')} left out" if run.left_out else ""
    return f"{run.rows:,}{left}"


def trust_words(estimate: runs.Estimate) -> str:
    """`±8 % of 5 runs here`; empty while too few have been measured."""
    return f"±{percent(estimate.error)} of {plural(estimate.count, 'run')} here" if estimate.error else ""
