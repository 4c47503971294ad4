"""Numbers as people read them: sizes, speeds, durations, token counts, times of day."""

from __future__ import annotations

import time

_UNITS = ("B", "K", "M", "G", "T")


def size(count: int) -> str:
    """Bytes in binary units, tight: `3.4 G` (GiB), `512 M` (MiB), `0`."""
    if count <= 0:
        return "0"
    value, unit = float(count), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value /= 1024
        unit += 1
    digits = 0 if unit == 0 or value >= 100 else 1
    return f"{value:.{digits}f} {_UNITS[unit]}"


def gib(count: int) -> str:
    """Bytes as a bare number of GiB with one digit, for columns whose unit stands elsewhere."""
    return f"{count / 2**30:.1f}"


def percent(fraction: float) -> str:
    """0.403 as `40 %`."""
    return f"{max(0.0, fraction) * 100:.0f} %"


def rate(tokens_per_s: float) -> str:
    """`41.2 tok/s`, `168 tok/s`."""
    return f"{tokens_per_s:.{0 if tokens_per_s >= 100 else 1}f} tok/s"


def seconds(duration: float) -> str:
    """`3.2 s`, `48 s`, `2 min 5 s`, `1 h 4 min`."""
    if duration < 10:
        return f"{max(0.0, duration):.1f} s"
    whole = round(duration)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def milliseconds(duration: float) -> str:
    """`180 ms` below a second, `1.4 s` above; the argument is in milliseconds."""
    return f"{duration:.0f} ms" if duration < 1000 else seconds(duration / 1000)


def tokens(count: int) -> str:
    """A count where space is tight: `61`, `3.1k`, `32k`."""
    if count < 1000:
        return str(count)
    thousands = count / 1024 if count % 1024 == 0 else count / 1000
    return f"{thousands:.0f}k" if thousands >= 10 or count % 1024 == 0 else f"{thousands:.1f}k"


def parameters(count: int) -> str:
    """A model's size as its name would say it: `1.7B`, `596M`, `4.2M`; a dash where it is unknown."""
    for unit, step in (("B", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= 0.9995 * step:  # what would round to 1000 of the next smaller
            value = count / step
            return f"{value:.{0 if value >= 100 else 1}f}{unit}"
    return str(count) if count else "–"


def plural(count: int, word: str) -> str:
    """`1 token`, `2,048 tokens`."""
    return f"{count:,} {word}" + ("" if count == 1 else "s")


def roughly(estimated: bool) -> str:
    """What stands before a number that is a guess."""
    return "~" if estimated else ""


def clock(at: float, now: float | None = None) -> str:
    """Local time of day of a Unix time: `14:02`; with the date when it is another day."""
    if not at:
        return ""
    then, today = time.localtime(at), time.localtime(now)
    return time.strftime("%H:%M" if then[:3] == today[:3] else "%d %b %H:%M", then)


def shorten(text: str, width: int) -> str:
    """The text on one line and at most `width` characters, its end replaced by an ellipsis."""
    line = " ".join(text.split())
    if len(line) <= width:
        return line
    return line[: max(0, width - 1)].rstrip() + "…" if width > 0 else ""
