"""What a reply's tag says: how it stands, and everything that it was made with. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from engine.api import specs
from tui.format import clock, milliseconds, plural, rate, roughly, seconds, shorten
from tui.state import EngineState, Turn

MARKS: dict[specs.Mark, str] = {"": "", "good": "+ good", "bad": "− bad"}
_ENDS: dict[specs.Finish, str] = {
    "stop": "it ended by itself",
    "length": "cut off at max_tokens",
    "context": "the context was full",
    "cancelled": "stopped by you",
    "failed": "failed",
    "interrupted": "the engine ended before it did",
}
_ORIGINS: dict[specs.Origin, str] = {
    "": "",
    "edited": "edited by you",
    "continued": "goes on from another version",
    "branched": "branched off another version at one token",
    "imported": "imported",
}
_UNSET = "the model's own"


def standing(mark: specs.Mark, origin: specs.Origin) -> str:
    """`+ good`, `− bad`, `edited`, or two of them; empty where there is nothing to say."""
    words = [MARKS[mark], "edited" if origin == "edited" else ""]
    return " · ".join(word for word in words if word)


def again(turn: Turn) -> specs.ChatSettings | None:
    """The settings that make a reply once more, its adapter and seed among them; None where unknown."""
    return None if turn.settings is None else replace(turn.settings, adapter=turn.adapter)


def facts(turn: Turn, engine: EngineState) -> list[tuple[str, str]]:
    """Names and values, one line each."""
    model = engine.model(turn.model)
    told = [
        ("Model", f"{model.name} ({model.id})" if model and model.name != model.id else turn.model),
        ("Adapter", engine.adapter_label(turn.adapter, turn.settings) if turn.adapter else "none"),
        ("Made", clock(turn.created)),
        ("Version", f"{turn.version} of {turn.versions}" if turn.versions > 1 else "the only one"),
        ("Origin", _ORIGINS[turn.origin]),
        ("Mark", MARKS[turn.mark]),
        ("Ended", _ENDS[turn.finish] if turn.finish else ""),
        *_settings(turn.settings),
        *_numbers(turn.stats),
    ]
    return [(name, value) for name, value in told if value]


def _settings(settings: specs.ChatSettings | None) -> list[tuple[str, str]]:
    if settings is None:
        return [("Settings", "not known")]
    sampling = settings.sampling
    budget = "" if settings.think_budget is None else f", {settings.think_budget:,} tokens at most"
    return [
        ("Thinking", f"on{budget}" if settings.think else "off"),
        ("Seed", _number(sampling.seed, "not known")),
        ("temperature", _number(sampling.temperature)),
        ("top_k", _number(sampling.top_k)),
        ("top_p", _number(sampling.top_p)),
        ("min_p", _number(sampling.min_p)),
        ("repetition_penalty", _number(sampling.repetition_penalty)),
        ("max_tokens", _number(sampling.max_tokens, "up to the context")),
        ("Context", "" if settings.context is None else plural(settings.context, "token")),
        ("System prompt", shorten(settings.system, 200)),
    ]


def _numbers(stats: specs.ReplyStats | None) -> list[tuple[str, str]]:
    if stats is None or not stats.tokens:
        return []
    about = roughly(stats.estimated)
    thinking = f", {about}{stats.thinking_tokens:,} of them thinking" if stats.thinking_tokens else ""
    took = f" in {seconds(stats.thinking_s)}" if stats.thinking_tokens and stats.thinking_s else ""
    reused = f", {stats.cached_tokens:,} of them reused" if stats.cached_tokens else ""
    return [
        ("Note", stats.note),
        ("Tokens", f"{about}{plural(stats.tokens, 'token')}{thinking}{took}"),
        ("Prompt", f"{about}{plural(stats.prompt_tokens, 'token')}{reused}" if stats.prompt_tokens else ""),
        ("Speed", f"{about}{rate(stats.tokens_per_s)}, first token after {milliseconds(stats.ttft_ms)}"),
    ]


def _number(value: float | None, unset: str = _UNSET) -> str:
    return unset if value is None else f"{value:g}" if isinstance(value, float) else str(value)
