"""`qwill bench quality`: how it reads for people."""

from __future__ import annotations

from engine.api import QualityBench
from tui.cli import output
from tui.format import size


def show_quality(found: QualityBench) -> None:
    """Both perplexities and sizes, and how often both would say the same."""
    output.say(f"{found.model}, {found.tokens:,} tokens of plain text\n")
    rows = [
        ("", "perplexity", "weights"),
        (found.dtype, f"{found.plain_perplexity:.2f}", size(found.plain_memory)),
        (found.quant, f"{found.perplexity:.2f}", size(found.memory)),
    ]
    output.table(rows, right=(1, 2))
    output.say("")
    more = found.perplexity / found.plain_perplexity - 1
    output.say(f"{more:+.1%} perplexity; {found.agreement:.1%} of the likeliest next tokens are the same.")
