"""The right pane: how fast, how full the context is, and where the memory is."""

from __future__ import annotations

from textual.content import Content

from engine.api import specs
from tui import meter
from tui.elsewhere import where
from tui.format import gib, milliseconds, percent, plural, rate, roughly, tokens
from tui.glyphs import bar, spark
from tui.state import State, Turn
from tui.widgets.lines import Piece, line, name, spread
from tui.widgets.painted import Painted
from tui.widgets.run_lines import memory_lines, run_section

_LABEL = 8


class MonitorPane(Painted):
    """SPEED, MEMORY, CPU and each GPU; numbers stand right-aligned under each other."""

    DEFAULT_CSS = """
    MonitorPane {
        width: 28;
        height: 1fr;
        border-left: solid $rule;
        background: $background;
    }
    """

    def __init__(self, state: State) -> None:
        super().__init__()
        self._state = state

    def lines(self, width: int, height: int) -> list[Content]:
        """All sections; what is not known yet is a dash."""
        engine = self._state.engine
        lines = [line((" SPEED", "$thought")), *self._speed(width), line("")]
        sample = engine.monitor
        if sample is None:
            lines += [line((" MEMORY", "$thought")), line(("  no reading yet", "$thought"))]
            return lines + self._run_part(width, height)
        lines += [_title(" MEMORY", "GiB", width), *self._elsewhere(width), *_memory(sample, width)]
        lines += memory_lines(engine, width) + self._run_part(width, height)
        lines += [line(""), _title(" PROCESSOR", plural(sample.cores, "core"), width), *_cpu(sample, width)]
        for gpu in sample.gpus:
            lines += [line(""), line((f" GPU · {name(gpu.name)}", "$thought")), *_gpu(gpu, width)]
        return lines

    def _elsewhere(self, width: int) -> list[Content]:
        """That the model takes no memory here, where that is so."""
        model = self._state.model()
        if model is None or model.runs_on != "server":
            return []
        words = f"  the model is on {where(model)}"
        return [line((words, "$thought")).truncate(width - 1, ellipsis=True)]

    def _run_part(self, width: int, height: int) -> list[Content]:
        section = run_section(self._state.engine, width, 5 if height >= 34 else 3)
        return [line(""), *section] if section else []

    def _speed(self, width: int) -> list[Content]:
        speeds = self._state.engine.speeds
        stats, turn = self._newest()
        if stats is None or not stats.tokens:
            return [
                line(("  – tok/s", "$thought")),
                line(("  nothing measured yet", "$thought")),
                *_context(self._state, width),
            ]
        about = roughly(stats.estimated)
        now = about + rate(stats.tokens_per_s) if stats.tokens_per_s else "– tok/s"
        chart = spark(list(speeds), max(0, width - len(now) - 5))
        style = "bold $accent" if turn.live else "bold"
        lines = [
            spread(
                line("  ", (now, style)), line((f"{chart} ", "$accent" if turn.live else "$thought")), width
            ),
            line(("  first token ", "$thought"), milliseconds(stats.ttft_ms)),
            line("  ", (about + plural(stats.tokens, "token"), ""), (self._split(stats), "$thought")),
        ]
        if stats.cached_tokens:
            lines.append(
                line(
                    ("  reused ", "$thought"),
                    f"{tokens(stats.cached_tokens)} of {about}{tokens(stats.prompt_tokens)}",
                )
            )
        lines += _context(self._state, width)
        return lines

    def _split(self, stats: specs.ReplyStats) -> str:
        return f" · {stats.thinking_tokens:,} thought" if stats.thinking_tokens else ""

    def _newest(self) -> tuple[specs.ReplyStats | None, Turn]:
        for turn in reversed(self._state.engine.path(self._state.chat)):
            if turn.stats is not None:
                return turn.stats, turn
        return None, Turn("", "", "assistant")


def _title(left: str, right: str, width: int) -> Content:
    return spread(line((left, "$thought")), line((f"{right} ", "$thought")), width)


def _context(state: State, width: int) -> list[Content]:
    """How full it is with the next prompt, and what follows where that is too long."""
    words = meter.used_words(state)
    if not words:
        return []
    share = meter.share(state)
    left = line(("  context ", "$thought"), words, " ")
    style = "$warning" if share > meter.SCARCE else "$accent"
    known = meter.used(state)
    sized = known is not None and known.size > 0
    lines = [left + line((bar(share, max(0, width - left.cell_length - 1)), style)) if sized else left]
    after = meter.consequence(state)
    if len(after) > width - 3:
        after = meter.consequence(state, brief=True)
    return [*lines, line((f"  {after}", "$warning"))] if after else lines


def _row(
    label: str, value: str, share: float | None, total: str, width: int, *, scarce: bool = True
) -> Content:
    """`  label   6.1 ▓▓░░ 15.2`: every number under the one above. What is `scarce` warns near its end."""
    pieces: list[Piece] = [(f"  {label:<{_LABEL - 2}}", "$thought"), f"{value:>5}"]
    if share is not None:
        style = "$warning" if scarce and share > 0.9 else "$accent"
        pieces += [" ", (bar(share, max(3, width - _LABEL - 5 - 2 - 6)), style)]
    return spread(line(*pieces), line((f"{total} ", "$thought")), width)


def _memory(sample: specs.MonitorSample, width: int) -> list[Content]:
    used = sample.ram_total - sample.ram_available
    total = max(1, sample.ram_total)
    others = max(0, used - sample.engine_rss)
    lines = [
        _row("engine", gib(sample.engine_rss), sample.engine_rss / total, "", width),
        _row("others", gib(others), others / total, "", width),
        _row("RAM", gib(used), used / total, gib(sample.ram_total), width),
    ]
    swap = sample.swap_used / sample.swap_total if sample.swap_total else None
    lines.append(
        _row(
            "swap",
            gib(sample.swap_used) if sample.swap_used else "0",
            swap if sample.swap_used else None,
            "",
            width,
        )
    )
    return lines


def _cpu(sample: specs.MonitorSample, width: int) -> list[Content]:
    return [
        _row("all", percent(sample.cpu), sample.cpu, "", width, scarce=False),
        _row(
            "engine",
            f"{sample.engine_cpu:.1f}",
            sample.engine_cpu / max(1, sample.cores),
            "",
            width,
            scarce=False,
        ),
    ]


def _gpu(gpu: specs.GpuSample, width: int) -> list[Content]:
    lines: list[Content] = []
    for label, used, total in (
        ("VRAM", gpu.vram_used, gpu.vram_total),
        ("GTT", gpu.gtt_used, gpu.gtt_total),
    ):
        if used is None and total is None:
            continue
        share = used / total if used is not None and total else None
        lines.append(
            _row(label, gib(used) if used is not None else "–", share, gib(total) if total else "", width)
        )
    if gpu.busy is not None:
        lines.append(_row("busy", percent(gpu.busy), gpu.busy, "", width, scarce=False))
    if gpu.why:
        lines.append(line((f"  {name(gpu.why)}", "$thought")).truncate(width, ellipsis=True))
    return lines
