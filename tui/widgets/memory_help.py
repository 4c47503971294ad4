"""What the pools mean, for help: this machine's terms first, then those of every other one."""

from __future__ import annotations

import textwrap

from textual.content import Content

from engine.api import DEFINITION_HEADER, DEFINITIONS, Definition, shared_here, specs
from tui.text import clean
from tui.widgets.lines import line


def memory_help(sample: specs.MonitorSample | None, width: int) -> list[Content]:
    """Sentences about this machine, and the table of what "shared memory" is called for."""
    lines = [line(("What “shared memory” means on this machine", "bold $accent"))]
    here = shared_here(sample) if sample is not None else None
    for sentence in here.lines if here is not None else ("Nothing was measured yet.",):
        lines += [line(f"  {text}") for text in textwrap.wrap(clean(sentence), max(10, width - 4))]
    mine = here.rows if here is not None else ()
    lines += [line(""), line(("And on every machine", "bold $accent"))]
    for each in sorted(DEFINITIONS, key=lambda row: row.id not in mine):
        lines += _definition(each, width, here=each.id in mine)
    return [*lines, line("")]


def _definition(found: Definition, width: int, *, here: bool) -> list[Content]:
    mark = ("● ", "$accent") if here else ("  ", "")
    lines = [line("  ", mark, (found.platform, "bold" if here else "$foreground"))]
    labels = (DEFINITION_HEADER[1], DEFINITION_HEADER[2], DEFINITION_HEADER[3], DEFINITION_HEADER[4])
    for label, words in zip(labels, (found.shared, found.used, found.ceiling, found.beside), strict=True):
        if not words:
            continue
        texts = textwrap.wrap(words, max(10, width - 24)) or [""]
        for at, text in enumerate(texts):
            lines.append(line((f"    {label if at == 0 else '':<18}", "$thought"), (text, "$thought")))
    return lines
