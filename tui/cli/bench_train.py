"""`qwill bench train`: LoRA steps of ours beside TRL's, and how that reads for people."""

from __future__ import annotations

import argparse
import sys

from engine.api import SideFigures, TrainBench, TrainJob, bench_model, bench_train
from tui.cli import output, progress_line
from tui.cli.loading import model_name
from tui.format import size

SAME = 1e-3
"""Nats between two losses that count as the same, in float32."""


def run_train(args: argparse.Namespace) -> int:
    """Measure and print. Where the losses differ in float32, the exit code is 1."""
    job = TrainJob(
        model=bench_model(model_name(args.model)) if args.model else None,
        steps=args.steps,
        batch=args.batch,
        length=args.length,
        dtype=args.dtype,
        checkpointing=args.checkpointing,
        rounds=args.rounds,
    )
    try:
        found = bench_train(job, _tell)
    finally:
        progress_line.show("")
    output.say_json(output.plain(found)) if args.json else show_train(found)
    return 0 if found.max_loss_diff <= SAME or found.dtype != "float32" else 1


def _tell(words: str) -> None:
    """On a terminal one line that changes, elsewhere a line each: it takes minutes."""
    if sys.stderr.isatty():
        progress_line.show(words)
    else:
        print(output.line(words), file=sys.stderr, flush=True)


def show_train(found: TrainBench) -> None:
    """What was done, both sides in a table, and what they are to each other."""
    recomputed = "checkpointing on" if found.checkpointing else "checkpointing off"
    output.say(
        f"{found.model}, {found.dtype}, {found.batch} x {found.length:,} tokens, "
        f"{found.labelled:.0%} labelled, {recomputed}, threads: {found.ours.threads}\n"
    )
    header = ("", "step", "peak", "imported", "loaded", "first loss", "last loss")
    rows = [header, _row("Qwill", found.ours), _row(f"TRL {found.trl.versions['trl']}", found.trl)]
    output.table(rows, right=tuple(range(1, len(header))))
    print()
    output.say(
        f"{found.time_ratio:.2f} times TRL's time and {found.memory_ratio:.2f} times its peak memory: "
        f"medians of {found.rounds} turns each."
    )
    output.say(f"The losses of the first {min(found.steps, 20)} steps differ by {found.max_loss_diff:.1e}.")


def _row(name: str, side: SideFigures) -> tuple[str, ...]:
    sizes = (side.peak_bytes, side.imported_bytes, side.loaded_bytes)
    ends = (side.losses[0], side.losses[-1])
    return (
        name,
        f"{side.step_s:.2f} s",
        *(size(count) for count in sizes),
        *(f"{loss:.4f}" for loss in ends),
    )
