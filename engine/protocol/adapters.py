"""What a client can ask about adapters: whether one is active, and to write it for other programs."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from engine.protocol.command import Command

ExportForm = Literal["peft", "merged", "gguf", "gguf-lora", "ollama", "vllm"]
GgufType = Literal["f32", "f16", "bf16", "q8_0"]


class Proof(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an adapter changes, measured on one prompt with greedy decoding."""

    adapter: str
    model: str
    weight: float
    prompt: str
    base_text: str
    text: str
    """With the adapter."""
    tokens: int
    """Compared at most."""
    diverges: int | None = None
    """0-based place of the first token that differs; None: none does."""
    kl: float = 0.0
    """Of the first token's distribution with the adapter from the base's, in nats."""
    modules: int = 0
    """Layers that it sits on."""
    nonzero: int = 0
    """Of them, those whose B matrix is not all zero."""
    active: bool = False
    words: str = ""
    """All of it in one sentence."""


class ProveAdapter(Command, frozen=True, tag=True):
    """Whether an adapter changes what its model says. Loads the model where it is not loaded."""

    Result: ClassVar[type] = Proof
    adapter: str
    """Id, name or folder."""
    model: str = ""
    """Empty: the base that it fits."""
    prompt: str = ""
    """Empty: some fixed ones, until one diverges."""
    weight: float = 1.0
    evict: bool = False


class Check(msgspec.Struct, frozen=True, omit_defaults=True):
    """An export beside the live model: log-probabilities of the likely tokens over a fixed set of prompts."""

    done: bool = False
    """False: it could not be compared; `words` says why."""
    ok: bool = False
    prompts: int = 0
    places: int = 0
    """Positions compared."""
    difference: float = 0.0
    """Largest difference of a log-probability, in nats, among tokens that the live model finds likely."""
    tolerance: float = 0.0
    effect: float = 0.0
    """The same between the base and the base with the adapter, so that noise can be told from effect."""
    agreement: float = 0.0
    """Share of the positions whose likeliest token is the same."""
    words: str = ""


class Exported(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an export wrote."""

    job: str
    form: ExportForm
    path: str = ""
    """Folder or file; empty where only a command line was asked for."""
    bytes_on_disk: int = 0
    check: Check = Check()
    command: str = ""
    """A command line that uses it."""
    kept: str = ""
    """Where the folder that was there before lies now."""
    notes: tuple[str, ...] = ()


class ExportAdapter(Command, frozen=True, tag=True):
    """Write an adapter, or its base with it merged in, for other programs; answers when all is checked.

    A folder that is not empty is refused (`target_not_empty`) unless `replace`, which keeps it beside.
    """

    Result: ClassVar[type] = Exported
    adapter: str
    form: ExportForm
    target: str = ""
    """Absolute path of a folder, or of a .gguf file; may be empty for vllm. `exports:NAME` waits on the
    engine's machine until it is fetched (ReadFile)."""
    model: str = ""
    weight: float = 1.0
    gguf: GgufType = "f16"
    name: str = ""
    """What Ollama or vLLM shall call it; empty: the adapter's name."""
    replace: bool = False
    job: str = ""
    """The asker's own name for it, under which progress is told and StopExport ends it."""
    evict: bool = False


class StopExport(Command, frozen=True, tag=True):
    """End an export that is under way; nothing of it is kept."""

    job: str


class UndoExport(Command, frozen=True, tag=True):
    """Take back an export of this engine's life: what it wrote goes, what was there before comes back."""

    job: str
