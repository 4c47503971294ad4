"""The servers of the model browser: which are listed, and what is told of one. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from engine.api import commands, specs
from tui.format import milliseconds, plural

TITLES = {
    "vllm": "vLLM",
    "sglang": "SGLang",
    "ollama": "Ollama",
    "llama.cpp": "llama.cpp",
    "lmstudio": "LM Studio",
    "foundry": "Foundry Local",
    "transformers": "transformers serve",
}
"""What the kinds call themselves."""
KEYS = {
    "none": "none",
    "settings": "in settings.toml",
    "file": "in a file that only you can read",
    "environment": "from a variable of the engine's environment",
}


@dataclass(frozen=True)
class ServerLine:
    """The line of one server; its models stand below."""

    info: commands.EndpointInfo

    @property
    def key(self) -> str:
        """Names the line over all sections."""
        return f"server:{self.info.name}"


def listed(
    endpoints: Iterable[commands.EndpointInfo] | None, models: Iterable[specs.ModelInfo]
) -> list[commands.EndpointInfo]:
    """Servers by name; one that was found by itself and does not answer is left out.

    Until the engine has told of them (`endpoints` None), what their models tell stands for them.
    """
    if endpoints is None:
        told = {model.id.partition("/")[0]: model.path for model in models if model.runs_on == "server"}
        endpoints = [commands.EndpointInfo(name, url) for name, url in told.items()]
    shown = [info for info in endpoints if info.saved or info.reachable is not False]
    return sorted(shown, key=lambda info: (not info.saved, info.name.lower()))


def kind(info: commands.EndpointInfo) -> str:
    """`vLLM 0.9.1`; empty while it is not known."""
    return f"{TITLES.get(info.kind, '')} {info.version}".strip()


def summary(info: commands.EndpointInfo) -> str:
    """`vLLM 0.9.1 · 3 models · http://box:8000/v1`."""
    parts = [kind(info), plural(len(info.models), "model") if info.reachable else "", info.url]
    return " · ".join(part for part in parts if part)


def sign(info: commands.EndpointInfo) -> str:
    """Whether it answers, as a sign and a word."""
    return {True: "✓ there", False: "✗ silent", None: "–"}[info.reachable]


def privacy(info: commands.EndpointInfo) -> str:
    """Who could read along."""
    if info.warning:
        return info.warning
    return "encrypted (https)" if info.url.startswith("https:") else "stays on this machine"


def answer(info: commands.EndpointInfo) -> str:
    """What it said when it was asked last, in one sentence."""
    if info.error is not None:
        return info.error.sentence()
    if not info.reachable:
        return "It was not asked yet."
    who = kind(info) or info.name
    return f"{who} answers in {milliseconds(info.latency_ms)} with {plural(len(info.models), 'model')}."
