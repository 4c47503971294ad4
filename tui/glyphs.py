"""Small charts as pure functions: bars and sparklines out of block and braille characters."""

from __future__ import annotations

from collections.abc import Sequence

BLOCKS = " ▁▂▃▄▅▆▇█"
_LEFT = (0x00, 0x40, 0x44, 0x46, 0x47)
_RIGHT = (0x00, 0x80, 0xA0, 0xB0, 0xB8)


def bar(fraction: float, width: int) -> str:
    """`▓▓▓░░░`: a share of a whole. Anything above nothing shows at least one full cell."""
    if width <= 0:
        return ""
    share = min(1.0, max(0.0, fraction))
    full = round(share * width)
    if share > 0 and full == 0:
        full = 1
    return "▓" * full + "░" * (width - full)


def spark(values: Sequence[float], width: int, top: float | None = None) -> str:
    """The newest `width` values, one block character each, scaled from 0 to `top` (or to the largest)."""
    shown = list(values)[-width:] if width > 0 else []
    ceiling = top if top is not None else max(shown, default=0.0)
    if ceiling <= 0:
        return "▁" * len(shown)
    steps = len(BLOCKS) - 1
    return "".join(BLOCKS[max(1, min(steps, round(value / ceiling * steps)))] for value in shown)


def braille(values: Sequence[float], width: int, top: float | None = None) -> str:
    """Like `spark`, two values a character, four levels of dots."""
    shown = list(values)[-2 * width :] if width > 0 else []
    if len(shown) % 2:
        shown.insert(0, 0.0)
    ceiling = top if top is not None else max(shown, default=0.0)

    def level(value: float) -> int:
        return min(4, max(0, round(value / ceiling * 4))) if ceiling > 0 else 0

    return "".join(
        chr(0x2800 + _LEFT[level(left)] + _RIGHT[level(right)])
        for left, right in zip(shown[::2], shown[1::2], strict=True)
    )
