"""One run in full: its spec, numbers, curve, phases with their peaks, and what went wrong."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from engine.api import Client, commands, runs
from tui.cli import output
from tui.cli.run_rows import loss, progress, row
from tui.format import clock, rate, seconds, size
from tui.glyphs import spark
from tui.run_sizes import memory_words, rows_words

BRIEF = 200
"""Characters of an answer that are shown."""
WIDTH = 60
"""Characters of a curve at most."""


class Stretch(msgspec.Struct, frozen=True):
    """All times that a run was in one phase."""

    phase: str
    times: int
    seconds: float
    peak: int
    """Bytes resident at most."""


async def show(client: Client, info: runs.RunInfo, *, as_json: bool) -> None:
    """Print it."""
    points: list[runs.StepPoint] = []
    marks: list[runs.PhaseMark] = []
    samples: list[commands.RunSample] = []
    report: commands.RunReport | None = None
    since, more, log = 0, True, ""
    while more:
        page: commands.RunPage = await client.request(commands.ReadRun(info.id, since))
        points += page.points
        marks += page.marks
        samples += page.samples
        report = report or page.report
        info, more, log = page.run, page.more, page.log
        since = points[-1].step + 1 if points else 0
    if as_json:
        found = row(info) | {
            "spec": output.plain(info.spec),
            "versions": info.versions,
            "data_hash": info.data_hash,
            "log": log,
            "phases": output.plain(phases(marks, info)),
            "points": output.plain(points),
            "samples": output.plain(samples),
            "report": output.plain(report),
        }
        output.say_json(found)
        return
    output.table([line for line in _lines(info, points, log) if line[1]])
    listed = phases(marks, info)
    if listed:
        print()
        header = ("phase", "times", "took", "peak")
        body = [(s.phase, str(s.times), seconds(s.seconds), size(s.peak)) for s in listed]
        output.table([header, *body], right=(1, 2, 3))
    _show_samples(samples)
    if report is not None:
        _show_report(report)
    if info.error is not None:
        print()
        output.say(info.error.sentence())


def _show_samples(samples: Sequence[commands.RunSample]) -> None:
    """The newest answer to each prompt."""
    newest = {sample.prompt: sample for sample in samples}
    if newest:
        print()
        rows = [(str(each.step), each.prompt[:WIDTH], each.text[:BRIEF]) for each in newest.values()]
        output.table([("step", "prompt", "answer"), *rows], right=(0,))


def _show_report(report: commands.RunReport) -> None:
    """Before and after."""
    print()
    rows = [("", "before", "after")]
    for answer in report.answers:
        rows.append((answer.prompt[:WIDTH], answer.before[:WIDTH], answer.after[:WIDTH]))
    if report.before is not None and report.after is not None:
        rows.append(("answers that end", f"{report.before.stopped:.0%}", f"{report.after.stopped:.0%}"))
        rows.append(("repeated in answers", f"{report.before.repeated:.0%}", f"{report.after.repeated:.0%}"))
    if report.general_before is not None and report.general_after is not None:
        rows.append(("loss on general text", loss(report.general_before), loss(report.general_after)))
    output.table(rows)
    if report.why:
        advised = {"keep": "Keep it: ", "discard": "Better discard it: "}.get(report.advice, "")
        output.say(f"{advised}{report.why}.")


def phases(marks: Sequence[runs.PhaseMark], info: runs.RunInfo) -> list[Stretch]:
    """By phase, in the order they came first; a mark carries the peak of the phase before it."""
    found: dict[str, Stretch] = {}
    for mark, after in zip(marks, [*marks[1:], None], strict=False):  # without marks there is none after
        if mark.phase == "end":
            continue
        until = after.at if after is not None else (info.ended or mark.at)
        peak = max(mark.memory, after.peak if after is not None else 0)
        old = found.get(mark.phase, Stretch(mark.phase, 0, 0.0, 0))
        spent = old.seconds + max(0.0, until - mark.at)
        found[mark.phase] = Stretch(mark.phase, old.times + 1, spent, max(old.peak, peak))
    return list(found.values())


def curve(values: Sequence[float], width: int = WIDTH) -> str:
    """At most `width` characters; the largest value of each share is shown, so that no spike is lost."""
    count = min(width, len(values))
    bounds = [len(values) * place // count for place in range(count + 1)] if count else []
    return spark([max(values[a:b]) for a, b in zip(bounds, bounds[1:], strict=False)], width)


def standing(info: runs.RunInfo) -> str:
    """Its state, and what there is to say of it."""
    match info.state:
        case "running":
            return f"running: {info.phase}"
        case "queued" if info.place:
            return f"queued, place {info.place}{', once nobody chats' if info.idle else ''}"
        case "paused" if info.pause:
            return f"paused ({info.pause})"
        case state:
            return state


def _lines(info: runs.RunInfo, points: Sequence[runs.StepPoint], log: str) -> list[tuple[str, str]]:
    spec = info.spec
    took = seconds(info.took) if info.ended and info.started else ""
    learnt = [point.loss for point in points if point.loss is not None]
    ends = f"{loss(learnt[0])} to {loss(learnt[-1])}" if learnt else ""
    tested = [point.eval_loss for point in points if point.eval_loss is not None]
    return [
        ("run", info.id),
        ("name", info.name),
        ("state", standing(info)),
        ("tags", ", ".join(info.tags)),
        ("note", info.note),
        ("step", progress(info)),
        ("loss", f"{curve(learnt)}  {ends}" if learnt else ""),
        ("eval", f"{curve(tested)}  {loss(tested[0])} to {loss(tested[-1])}" if tested else ""),
        ("speed", rate(info.tokens_per_s) if info.tokens_per_s else ""),
        ("left", seconds(info.eta_s) if info.eta_s is not None else ""),
        ("created", clock(info.created)),
        ("took", took),
        ("peak", size(info.peak) if info.peak else ""),
        ("memory", memory_words(info)),
        ("rows", rows_words(info)),
        ("resumed", ", ".join(f"at step {step}" for step in info.resumed)),
        (
            "best eval",
            f"{loss(info.best_eval)} at step {info.best_step}" if info.best_eval is not None else "",
        ),
        ("device", info.device),
        ("trained on", info.origin),
        ("adapter", info.adapter),
        ("model", info.whole),
        ("base", spec.model),
        ("data", spec.data),
        ("data hash", info.data_hash),
        ("method", f"{spec.method}, rank {spec.rank}, alpha {spec.alpha}, on {spec.targets}"),
        ("batches", f"{spec.batch} x {spec.accumulate}, rows up to {spec.length} tokens"),
        ("rate", f"{spec.rate:g}, warm-up {spec.warmup:g}, clip {spec.clip:g}"),
        ("seed", str(spec.seed)),
        ("versions", ", ".join(f"{name} {version}" for name, version in info.versions.items())),
        ("log", log),
    ]
