"""What the train form says: about the method, the data, and what a run takes. Pure."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from engine.api import METHOD_LINES, QUANT_LINES, commands, method_title, runs
from tui.format import percent, plural, seconds, size, tokens
from tui.run_sizes import trust_words

OFFERED = ("lora:", "rslora:", "dora:", "pissa:", "lora:nf4", "lora:bnb8", "dora:nf4", "pissa:nf4", "full:")
"""Methods with how the base is held, in the order of the form; run.toml knows more."""
_PLAIN = runs.TrainSpec("", "")


def way_of(spec: runs.TrainSpec) -> str:
    """`lora:nf4`: method and packing of the base as one choice."""
    return f"{spec.method}:{spec.quant}"


def way_spec(way: str, spec: runs.TrainSpec) -> runs.TrainSpec:
    """The spec with the method and the packing of a choice."""
    method, _, quant = way.partition(":")
    chosen = msgspec.convert({"model": "", "data": "", "method": method, "quant": quant}, runs.TrainSpec)
    return replace(spec, method=chosen.method, quant=chosen.quant)


def way_title(way: str) -> str:
    """`QLoRA (4-bit)`."""
    spec = way_spec(way, _PLAIN)
    return method_title(spec.method, spec.quant)


def way_words(spec: runs.TrainSpec) -> str:
    """What the method does, and what a packed base means, in one line."""
    about = METHOD_LINES[spec.method]
    return f"{about} · {QUANT_LINES[spec.quant]}" if spec.quant else about


def data_words(report: runs.DatasetReport, title: str = "") -> str:
    """`1,204 chats · 312k tokens, 41 % learned · 3 lines need a look`."""
    parts = [title] if title else []
    parts.append(plural(report.rows, _unit(report)))
    if report.tokens is not None and report.tokens.total:
        share = percent(report.labelled / report.tokens.total)
        parts.append(f"{tokens(report.tokens.total)} tokens, {share} learned")
    elif report.characters:
        parts.append(f"{percent(report.labelled_characters / report.characters)} of the text is learned")
    if report.too_long:
        parts.append(f"{report.too_long:,} too long, left out")
    if report.problem_count:
        verb = "needs" if report.problem_count == 1 else "need"
        parts.append(f"{plural(report.problem_count, 'line')} {verb} a look")
    else:
        parts.append("every line is fine")
    return " · ".join(parts)


def _unit(report: runs.DatasetReport) -> str:
    return {"texts": "text", "pairs": "preference", "votes": "vote"}.get(report.kind, "chat")


def need(estimate: runs.Estimate) -> int:
    """Bytes that a run takes beside what is loaded already."""
    return estimate.need or sum(estimate.parts.values()) - estimate.shared


def need_words(estimate: runs.Estimate) -> str:
    """`44 M more, of 9.8 G free · ±8 % of 5 runs here`."""
    words = f"{size(need(estimate))} more, of {size(estimate.free)} free"
    trust = trust_words(estimate)
    return f"{words} · {trust}" if trust else words


def parts_words(estimate: runs.Estimate) -> str:
    """`base 8.3 M shared + adapter 2.1 M + …`."""
    parts = []
    for part, held in estimate.parts.items():
        shared = " shared" if part == "base" and estimate.shared else ""
        parts.append(f"{part} {size(held)}{shared}")
    return " + ".join(parts)


def time_words(estimate: runs.Estimate) -> str:
    """`216 steps over 287 chats · about 38 s on this machine`."""
    parts = [f"{plural(estimate.steps, 'step')} over {plural(estimate.rows, 'row')}"]
    if estimate.left_out:
        parts[0] += f", {plural(estimate.left_out, 'answer')} left out"
    if estimate.seconds is not None:
        parts.append(f"about {seconds(estimate.seconds)} on this machine")
    if estimate.tokens and estimate.labelled:
        parts.append(
            f"{plural(estimate.tokens, 'token')}, {percent(estimate.labelled / estimate.tokens)} learned"
        )
    return " · ".join(parts)


def change_words(estimate: runs.Estimate) -> list[str]:
    """What would make it fit, a line each, by the number of its key."""
    return [
        f"{each.title} · {size(each.need)} then" if each.need else each.title for each in estimate.changes
    ]


def usable(found: commands.MarkedList) -> int:
    """How many marked replies can be learned from; beyond the first page, how many are marked at all."""
    if found.total > len(found.replies):
        return found.total
    return sum(each.message.mark == "good" or each.message.origin == "edited" for each in found.replies)
