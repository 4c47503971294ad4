"""How a run is named and put into rows, for `train` and `runs` alike."""

from __future__ import annotations

from typing import Any

from engine.api import Client, commands, fault, runs
from tui.cli import output

HEADER = ("run", "name", "state", "step", "loss", "eval", "base")
"""Of `brief`."""
FIELDS = (
    "id",
    "name",
    "state",
    "step",
    "steps",
    "loss",
    "eval_loss",
    "eta_s",
    "tokens_per_s",
    "phase",
    "created",
    "started",
    "ended",
    "peak",
    "adapter",
    "error",
    "place",
    "tags",
    "note",
    "pause",
    "idle",
    "epoch",
    "tokens",
    "best_eval",
    "best_step",
    "tries",
    "resumed",
    "device",
    "origin",
    "predicted",
    "measured",
    "rows",
    "left_out",
    "findings",
)


def brief(info: runs.RunInfo) -> tuple[str, ...]:
    """A run in the columns that every list of runs has."""
    return (
        info.id,
        info.name,
        f"{info.state} {info.place}" if info.place else info.state,
        progress(info),
        loss(info.loss),
        loss(info.eval_loss),
        info.spec.model,
    )


def row(info: runs.RunInfo) -> dict[str, Any]:
    """A run as `--json` has it; `error` is null while nothing went wrong."""
    facts = {name: output.plain(getattr(info, name)) for name in FIELDS}
    return facts | {"model": info.spec.model, "data": info.spec.data}


async def find(client: Client, ref: str) -> runs.RunInfo:
    """A run by id, number, name, or the start of an id or name that only one run has.

    Raises EngineError `run_unknown` or `run_ambiguous`.
    """
    known: commands.RunList = await client.request(commands.ListRuns())
    exact = any(ref in (info.id, info.name) for info in known.runs) or ref.isdigit()
    if not exact and ref:
        matches = [info for info in known.runs if info.id.startswith(ref) or info.name.startswith(ref)]
        if len(matches) > 1:
            raise fault(
                "run_ambiguous",
                f"More than one run starts with {ref}",
                "It could be " + ", ".join(info.id for info in matches[:5]),
                "Give its id",
            )
        ref = matches[0].id if matches else ref
    page: commands.RunPage = await client.request(commands.ReadRun(ref, limit=1))
    return page.run


def progress(info: runs.RunInfo) -> str:
    """`12/60`, or `-` before the number of steps is known."""
    return f"{info.step}/{info.steps}" if info.steps else "-"


def loss(value: float | None) -> str:
    """Four significant digits are three decimals here; `-` for none yet."""
    return "-" if value is None else f"{value:.3f}"
