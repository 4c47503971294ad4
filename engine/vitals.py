"""Averages of replies' statistics, and what is slow or high about them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from engine.protocol.health import Finding, ModelHealth
from engine.protocol.specs import ModelInfo, MonitorSample, ReplyStats

LAST = 10
"""Replies that an average is over."""
FEW = 3
"""Replies in a row whose average counts as a best, so that one lucky reply does not."""
BRIEF = 16
"""New tokens below which a reply's speed says little."""
SLOW = 0.7
"""Of the best speed: below it is slow."""
LATE, LATE_MS = 2.0, 300.0
"""Times the best wait, and milliseconds at least, beyond which a wait is high."""
LARGE = 1.25
"""Times the least memory, beyond which it is high."""
FASTER = 1.3
"""How many times as fast another form must be to be named."""
LONG = 2048
"""Tokens of context beyond which a chat counts as long."""
_SWAP = 256 << 20
_MIB = 1 << 20


class Told(NamedTuple):
    """One reply."""

    model: str
    stats: ReplyStats
    at: float = 0.0
    """Unix time in seconds."""


class Machine(NamedTuple):
    """What may slow replies down now."""

    sample: MonitorSample | None = None
    trains: bool = False
    """Whether a run trains."""


class Means(NamedTuple):
    """Averages of some replies; 0 where none of them says."""

    speed: float
    wait: float
    memory: float
    context: float
    fresh: float
    """Tokens of the prompt that were computed anew."""
    cached: float


def judge(rows: Iterable[Told], models: dict[str, ModelInfo], machine: Machine) -> list[ModelHealth]:
    """By model and form, used last first; `rows` are newest first."""
    groups: dict[tuple[str, str, str], list[Told]] = {}
    for row in rows:
        groups.setdefault((row.model, row.stats.quant, row.stats.dtype), []).append(row)
    return [_health(group, models.get(group[0].model), machine) for group in groups.values()]


def with_tips(found: Sequence[ModelHealth]) -> list[ModelHealth]:
    """Each with the form of the same model that was measured to be the fastest, where it is much faster."""
    told = []
    for each in found:
        others = [other for other in found if other.model == each.model and other.tokens_per_s > 0]
        best = max(others, key=lambda other: other.tokens_per_s, default=each)
        ratio = best.tokens_per_s / each.tokens_per_s if each.tokens_per_s else 0.0
        tip = f"As {best.held_as} it was {ratio:.1f} times as fast here" if ratio >= FASTER else ""
        told.append(_tipped(each, tip))
    return told


def _tipped(health: ModelHealth, tip: str) -> ModelHealth:
    return replace(health, tip=tip) if tip else health


def _health(rows: list[Told], model: ModelInfo | None, machine: Machine) -> ModelHealth:
    last, newest = rows[:LAST], rows[0].stats
    now = means(last)
    fastest = _best(rows, lambda found: found.speed, max)
    soonest = _best(rows, lambda found: found.wait, min)
    least = _best(rows, lambda found: found.memory, min)
    health = ModelHealth(
        rows[0].model,
        model.name if model is not None else rows[0].model,
        newest.quant,
        newest.dtype,
        newest.device,
        newest.threads,
        len(last),
        len(rows),
        rows[0].at,
        now.speed,
        max(fastest[0].speed, now.speed),
        now.wait,
        soonest[0].wait or now.wait,
        round(now.memory),
        round(least[0].memory or now.memory),
        now.context,
    )
    findings = (
        _speed(now, *fastest, newest, machine),
        _wait(now, *soonest, newest, machine),
        _memory(now, least[0]),
    )
    return replace(health, findings=tuple(each for each in findings if each is not None))


def means(rows: Sequence[Told]) -> Means:
    """Averages of these replies; a speed counts where enough was written, anything where it is known."""
    stats = [row.stats for row in rows]
    return Means(
        _mean(each.tokens_per_s for each in stats if each.tokens >= BRIEF),
        _mean(each.ttft_ms for each in stats),
        _mean(each.memory for each in stats),
        _mean(each.context_used for each in stats),
        _mean(max(0, each.prompt_tokens - each.cached_tokens) for each in stats),
        _mean(each.cached_tokens for each in stats),
    )


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if value > 0]
    return sum(known) / len(known) if known else 0.0


def _best(
    rows: Sequence[Told], value: Callable[[Means], float], pick: Callable[..., tuple[Means, ReplyStats]]
) -> tuple[Means, ReplyStats]:
    """The best averages of a few replies in a row, and one of those replies."""
    stretches = [rows[start : start + FEW] for start in range(max(1, len(rows) - FEW + 1))]
    known = [(means(each), each[0].stats) for each in stretches]
    known = [each for each in known if value(each[0]) > 0] or known
    return pick(known, key=lambda each: value(each[0]))


def _speed(now: Means, best: Means, then: ReplyStats, newest: ReplyStats, machine: Machine) -> Finding | None:
    if not now.speed or now.speed >= SLOW * best.speed:
        return None
    sentence = f"{now.speed:.1f} tokens/s on average, and the best here was {best.speed:.1f}"
    return Finding("speed", "slow", sentence, *_cause(now, best, then, newest, machine))


def _wait(now: Means, best: Means, then: ReplyStats, newest: ReplyStats, machine: Machine) -> Finding | None:
    if not best.wait or now.wait <= max(LATE * best.wait, LATE_MS):
        return None
    sentence = f"The first token takes {now.wait / 1e3:.1f} s on average, and took {best.wait / 1e3:.1f} s"
    if now.fresh > 1.5 * max(1.0, best.fresh):
        cause = f"{now.fresh:,.0f} tokens of a prompt are new on average, and {best.fresh:,.0f} were then"
        remedy = "Attach less at once; a changed system prompt, adapter or older message is computed again"
        return Finding("first token", "high", sentence, cause, remedy)
    return Finding("first token", "high", sentence, *_cause(now, best, then, newest, machine))


def _memory(now: Means, least: Means) -> Finding | None:
    if not least.memory or now.memory <= LARGE * least.memory:
        return None
    more = (now.memory - least.memory) / _MIB
    sentence = f"{now.memory / _MIB:,.0f} MiB on average, {more:,.0f} more than at least"
    if now.context > 1.5 * least.context:
        cause = f"The chats hold {now.context:,.0f} tokens on average, and held {least.context:,.0f}"
        return Finding("memory", "high", sentence, cause, "Start a new chat, or limit its context (F10)")
    return Finding("memory", "high", sentence)


def _cause(
    now: Means, best: Means, then: ReplyStats, newest: ReplyStats, machine: Machine
) -> tuple[str, str]:
    """What may be behind it, and what to change; the likeliest first."""
    sample = machine.sample
    if then.device and newest.device and then.device != newest.device:
        return f"It runs on {newest.device}, and ran on {then.device} then", "See `qwill doctor` for the GPU"
    if machine.trains and newest.device in ("", "cpu", "mps"):
        return "A run trains at the same time", "Stop the run, or wait for its end"
    if sample is not None and _short(sample):
        used = sample.swap_used / _MIB
        return (
            f"Memory is short: {used:,.0f} MiB of swap are in use",
            "Unload another model, or close programs",
        )
    if sample is not None and newest.device in ("", "cpu") and (others := _others(sample)) > sample.cores / 2:
        return f"Other programs use {others:.1f} of {sample.cores} cores now", "Close them, or wait"
    if now.context > LONG and now.context > 1.5 * best.context:
        cause = f"The chats are long: {now.context:,.0f} tokens on average, and {best.context:,.0f} then"
        return cause, "Start a new chat, or limit its context (F10)"
    if newest.threads and then.threads and newest.threads < then.threads:
        cause = f"It uses {newest.threads} CPU threads, and used {then.threads} then"
        return cause, "Start the engine without OMP_NUM_THREADS"
    return "", "Nothing is in its way now; look again while a reply is written"


def _short(sample: MonitorSample) -> bool:
    """Whether the machine swaps because memory is short, not because something was idle for days."""
    return sample.swap_used > _SWAP and sample.ram_available < 0.15 * sample.ram_total


def _others(sample: MonitorSample) -> float:
    """Cores that other programs use."""
    return sample.cpu * sample.cores - sample.engine_cpu
