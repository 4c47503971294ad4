"""The right pane: how fast, how full the context is, and where the memory is."""

from __future__ import annotations

from textual.content import Content

from engine.api import specs
from tui import meter
from tui.elsewhere import where
from tui.format import gib, milliseconds, percent, plural, rate, roughly, tokens
from tui.glyphs import bar, spark
from tui.state import State, Turn
from tui.widgets.lines import line, name, spread
from tui.widgets.painted import Painted
from tui.widgets.run_lines import run_section


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
        from tui.widgets.memory_lines import memory_section  # after the first paint: then there is a sample

        lines += [_title(" MEMORY", "GiB", width), *self._elsewhere(width)]
        lines += memory_section(engine, sample, width, height) + self._run_part(width, height)
        cores = [line(""), _title(" PROCESSOR", plural(sample.cores, "core"), width), *_cpu(sample, width)]
        gpus = [row for number in range(len(sample.gpus)) for row in _gpu(sample, number, width)]
        computes = bool(sample.pools) and sample.pools[0].kind != "ram"
        return lines + (gpus + cores if computes else cores + gpus)

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


def _cpu(sample: specs.MonitorSample, width: int) -> list[Content]:
    from tui.widgets.memory_lines import number_row

    cores = sample.engine_cpu / max(1, sample.cores)
    return [
        number_row("all", percent(sample.cpu), sample.cpu, "", width, scarce=False),
        number_row("engine", f"{sample.engine_cpu:.1f}", cores, "", width, scarce=False),
    ]


def _gpu(sample: specs.MonitorSample, number: int, width: int) -> list[Content]:
    """How warm it is and what it draws, its memory as far as MEMORY does not tell of it, how busy it is."""
    from tui.memory_words import gpu_word
    from tui.widgets.memory_lines import number_row, other_pools

    gpu = sample.gpus[number]
    warm = f"{gpu.temperature:.0f} °C" if gpu.temperature is not None else ""
    draws = f"{gpu.power:.0f} W" if gpu.power is not None else ""
    words = " · ".join(word for word in (warm, draws) if word)
    lines = [line(""), _title(f" GPU · {gpu_word(gpu.name)}", words, width)]
    if gpu.busy is not None:
        lines.append(number_row("busy", percent(gpu.busy), gpu.busy, "", width, scarce=False))
    lines += other_pools(sample, number, width) if sample.pools else _drivers(gpu, width)
    if gpu.why:
        lines.append(line((f"  {name(gpu.why)}", "$thought")).truncate(width, ellipsis=True))
    return lines


def _drivers(gpu: specs.GpuSample, width: int) -> list[Content]:
    """Its memory as the driver counts it."""
    from tui.widgets.memory_lines import number_row

    lines: list[Content] = []
    for label, used, total in (
        ("VRAM", gpu.vram_used, gpu.vram_total),
        ("GTT", gpu.gtt_used, gpu.gtt_total),
    ):
        if used is None and total is None:
            continue
        share = used / total if used is not None and total else None
        value = gib(used) if used is not None else "–"
        lines.append(number_row(label, value, share, gib(total) if total else "", width))
    return lines
