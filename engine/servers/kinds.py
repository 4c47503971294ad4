"""What is known of each kind of server: its port, the sampling it takes, and how it switches thinking."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from engine.protocol.endpoints import ServerKind

Switch = Literal["template", "ollama", "effort", ""]
"""Thinking is switched by an argument of the chat template, Ollama's `think`, OpenAI's effort, or not."""
OPENAI = {"temperature": "temperature", "top_p": "top_p"}
SEEDED = OPENAI | {"seed": "seed"}
WIDE = SEEDED | {"top_k": "top_k", "min_p": "min_p"}


class Kind(msgspec.Struct, frozen=True):
    """One program that serves models."""

    title: str
    ports: tuple[int, ...] = ()
    """On which it listens by itself."""
    sampling: dict[str, str] = msgspec.field(default_factory=SEEDED.copy)
    """Names of `Sampling`, and what the server calls them."""
    no_top_k: int = 0
    """The value of top-k that turns it off."""
    switch: Switch = ""
    usage: bool = True
    """Whether `stream_options.include_usage` is understood."""
    prefill: dict[str, Any] | None = None
    """What makes it go on with an unfinished reply; None: it cannot."""
    thoughts: bool = False
    """Whether earlier messages may carry `reasoning_content`."""
    tokenizes: bool = False
    """Whether it has `/tokenize`."""


_PENALTY = {"repetition_penalty": "repetition_penalty"}
_REPEAT = {"repetition_penalty": "repeat_penalty"}
KINDS: dict[ServerKind, Kind] = {
    "vllm": Kind(
        "vLLM",
        (8000,),
        WIDE | _PENALTY,
        -1,
        "template",
        prefill={"continue_final_message": True, "add_generation_prompt": False},
        thoughts=True,
        tokenizes=True,
    ),
    "sglang": Kind(
        "SGLang",
        (30000,),
        WIDE | _PENALTY,
        -1,
        "template",
        prefill={"continue_final_message": True},
        thoughts=True,
    ),
    "ollama": Kind("Ollama", (11434,), WIDE | _REPEAT, switch="ollama", prefill={}, thoughts=True),
    "llama.cpp": Kind(
        "llama.cpp",
        (8080,),
        WIDE | _REPEAT,
        switch="template",
        prefill={},
        thoughts=True,
        tokenizes=True,
    ),
    "lmstudio": Kind("LM Studio", (1234,), WIDE | _REPEAT, switch="effort"),
    "foundry": Kind("Foundry Local", (5272, 5273), OPENAI | {"top_k": "top_k", "seed": "random_seed"}),
    "transformers": Kind("transformers serve", (8000,), switch="template", usage=False),
    "other": Kind("a server"),
}
"""Sources: vLLM and SGLang "Sampling parameters" and "Reasoning outputs"; Ollama docs/api.md; llama.cpp
tools/server/README.md; LM Studio and Foundry Local REST references; transformers 5.23 cli/serving."""


def kind_of(name: ServerKind) -> Kind:
    """What is known of it; of an unknown one, what every server understands."""
    return KINDS.get(name, KINDS["other"])
