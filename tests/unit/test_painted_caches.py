"""What Textual keeps of what was painted is bounded by what a few screens show."""

from __future__ import annotations

import gc
import weakref

from rich.color import ColorSystem
from rich.style import Style
from textual._styles_cache import StylesCache
from textual.color import Color
from textual.strip import Strip

from tui.driver import STYLES


def test_styles_that_were_painted_once_are_forgotten() -> None:
    for number in range(2 * STYLES):
        painted = Strip.render_ansi(Style(bold=True, meta={"at": number}), ColorSystem.TRUECOLOR)
        assert painted == "1"
    assert Strip.render_ansi.cache_info().currsize <= STYLES  # type: ignore[attr-defined]


def test_the_painted_lines_of_a_widget_go_with_it() -> None:
    cache = StylesCache()
    cache.get_inner_outer(Color(0, 0, 0), Color(1, 1, 1))
    gone = weakref.ref(cache)
    del cache
    gc.collect()
    assert gone() is None
