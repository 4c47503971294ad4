"""How full the context is, in words: for the right pane, the header and the parameters."""

from __future__ import annotations

from engine.api import commands, specs
from tui.format import plural, tokens
from tui.state import State

NEARLY = 0.8
"""Share of the context from which on it is told where no pane shows it."""
SCARCE = 0.9


def used(state: State) -> tuple[int, int] | None:
    """Tokens used and what fits, in the chat shown; None while neither is known.

    Of the next prompt with the draft; while a reply is written, of what the model has seen.
    """
    live = state.live()
    if live is not None:
        stats = live.stats
        return (stats.context_used, stats.context_size) if stats is not None and stats.context_size else None
    use = state.engine.contexts.get(state.chat)
    if use is not None and use.size:
        return use.tokens, use.size
    for turn in reversed(state.engine.path(state.chat)):
        if turn.stats is not None and turn.stats.context_size:
            return turn.stats.context_used, turn.stats.context_size
    return None


def share(state: State) -> float:
    """Of the context, what is used; 0 while it is not known."""
    known = used(state)
    return known[0] / known[1] if known else 0.0


def used_words(state: State) -> str:
    """`3.1k / 32k`, or nothing."""
    known = used(state)
    return f"{tokens(known[0])} / {tokens(known[1])}" if known else ""


def consequence(state: State, *, brief: bool = False) -> str:
    """What happens to the next prompt because it is too long; empty while it fits."""
    use = state.engine.contexts.get(state.chat)
    if use is None or state.live() is not None:
        return ""
    if use.kept > use.size:
        return "too long to send" if brief else "This message alone is too long to be sent."
    if not use.dropped:
        return ""
    return _policy_words(state.settings().overflow, use, brief)


def _policy_words(overflow: specs.Overflow, use: commands.ContextUse, brief: bool) -> str:
    if overflow == "stop":
        return "full: will not be sent" if brief else "Full: the next message will not be sent."
    verb = "sums up" if overflow == "summarise" else "drops"
    count = len(use.dropped)
    return f"{verb} the oldest {count}" if brief else f"{verb} the oldest {plural(count, 'message')}"
