"""How full the context is, in words: for the right pane, the header and the parameters."""

from __future__ import annotations

from typing import NamedTuple

from engine.api import commands, specs
from tui.format import plural, roughly, tokens
from tui.state import State

NEARLY = 0.8
"""Share of the context from which on it is told where no pane shows it."""
SCARCE = 0.9


class Used(NamedTuple):
    """Tokens of a context."""

    tokens: int
    size: int
    """What fits; 0: a server that does not say."""
    estimated: bool = False


def used(state: State) -> Used | None:
    """Tokens used and what fits, in the chat shown; None while neither is known.

    Of the next prompt with the draft; while a reply is written, of what the model has seen.
    """
    live = state.live()
    if live is not None:
        return _of(live.stats)
    use = state.engine.contexts.get(state.chat)
    if use is not None and (use.size or use.tokens):
        return Used(use.tokens, use.size, use.estimated)
    told = (_of(turn.stats) for turn in reversed(state.engine.path(state.chat)))
    return next((known for known in told if known is not None), None)


def _of(stats: specs.ReplyStats | None) -> Used | None:
    if stats is None or not (stats.context_size or stats.context_used):
        return None
    return Used(stats.context_used, stats.context_size, stats.estimated)


def share(state: State) -> float:
    """Of the context, what is used; 0 while it is not known."""
    known = used(state)
    return known.tokens / known.size if known and known.size else 0.0


def used_words(state: State) -> str:
    """`3.1k / 32k`, `~3.1k` where a server guesses and does not say what fits, or nothing."""
    known = used(state)
    if known is None:
        return ""
    words = roughly(known.estimated) + tokens(known.tokens)
    return f"{words} / {tokens(known.size)}" if known.size else words


def consequence(state: State, *, brief: bool = False) -> str:
    """What happens to the next prompt because it is too long; empty while it fits."""
    use = state.engine.contexts.get(state.chat)
    if use is None or state.live() is not None:
        return ""
    if use.size and use.kept > use.size:
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
