"""The nouns of the protocol: models, chats, messages, settings, samples. Plain data, no behaviour."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec.structs import replace

from engine.protocol.errors import ErrorInfo
from engine.protocol.fit import FitRules, Shape
from engine.protocol.hub import DownloadInfo
from engine.protocol.memory import Holding, Pool, Pressure, Strain, Swing, TorchMemory
from engine.protocol.runs import AdapterInfo, RunInfo
from engine.protocol.serve import ServingInfo

Role = Literal["system", "user", "assistant", "tool"]
"""`tool` comes with imported chats only; Qwill runs no tools."""
Mark = Literal["", "good", "bad"]
Origin = Literal["", "edited", "continued", "branched", "imported"]
"""How a message came to be, where it was not simply typed or generated."""
Overflow = Literal["drop", "summarise", "stop"]
"""When a prompt outgrows the context: leave out the oldest turns, sum them up, or refuse."""
Part = Literal["thinking", "answer"]
ThinkingKind = Literal["switchable", "always", "never"]
"""Whether a model's thinking can be turned off, is always on, or does not exist."""
Finish = Literal["stop", "length", "context", "cancelled", "failed", "interrupted"]
"""Why a reply ended: a stop token, max_tokens, a full context, the user, an error, a dead engine."""
MessageState = Literal["queued", "loading", "summarising", "prefill", "thinking", "answering", "done"]
"""Where a message stands; a user's message is always `done`. `finish` says how a done reply ended."""
LIVE_STATES: tuple[MessageState, ...] = (
    "queued",
    "loading",
    "summarising",
    "prefill",
    "thinking",
    "answering",
)


RunsOn = Literal["torch", "llama.cpp", "onnx", "server"]
"""Who computes: Qwill's own loop on transformers, llama.cpp for GGUF files, ONNX Runtime, or a server."""
Quant = Literal["", "int8", "int4", "nf4", "bnb8"]
"""Weights packed at load: none, our 8 and 4 bits for CPUs, bitsandbytes' 4-bit NormalFloat and 8 bits."""


class Sampling(msgspec.Struct, frozen=True, omit_defaults=True):
    """Sampling of one reply. None means: the model's own generation_config decides."""

    temperature: float | None = None
    """0 is greedy (argmax)."""
    top_k: int | None = None
    """0 turns it off."""
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    seed: int | None = None
    """None draws a new one for each reply; the one drawn is stored with the reply."""
    max_tokens: int | None = None
    """New tokens at most, thinking included; None means up to the context."""


AdapterWeight = Annotated[float, msgspec.Meta(ge=0.0, le=2.0)]
"""How strongly an adapter counts; 1 is as it was trained, 0 as without it."""


class WeightedAdapter(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of the adapters that answer together."""

    id: str
    weight: AdapterWeight = 1.0


class ChatSettings(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything beside the messages that shapes a chat's replies."""

    system: str = ""
    think: bool = True
    """Wanted; a model that cannot switch ignores it, and says so."""
    think_budget: int | None = None
    """Thinking tokens at most before the model is told to answer; None is no cap."""
    sampling: Sampling = Sampling()
    adapter: str = ""
    """Id of the active adapter, or of the first of several; empty is the base alone."""
    adapter_weight: AdapterWeight = 1.0
    more_adapters: tuple[WeightedAdapter, ...] = ()
    """Those beside the first; they mean nothing without it. See `adapters`."""
    keep_thoughts: bool = False
    """Whether earlier thoughts stay in the prompt; templates leave them out."""
    context: int | None = None
    """Tokens of prompt and reply together at most; None is the model's own."""
    overflow: Overflow = "drop"

    @property
    def adapters(self) -> tuple[WeightedAdapter, ...]:
        """All active adapters, whose weighted changes are added up; empty is the base alone."""
        if not self.adapter:
            return ()
        return (WeightedAdapter(self.adapter, self.adapter_weight), *self.more_adapters)

    def with_adapters(self, *adapters: WeightedAdapter) -> ChatSettings:
        """With just these active."""
        first = adapters[0] if adapters else WeightedAdapter("")
        return replace(self, adapter=first.id, adapter_weight=first.weight, more_adapters=adapters[1:])


class ReplyStats(msgspec.Struct, frozen=True, omit_defaults=True):
    """Telemetry that rides with a reply. Times in seconds unless named otherwise."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    """Of the prompt, how many were found in the KV cache."""
    tokens: int = 0
    """Of the reply, thinking and what a continued one began with included."""
    thinking_tokens: int = 0
    thinking_s: float = 0.0
    ttft_ms: float = 0.0
    """From the start of prefill to the first new token."""
    tokens_per_s: float = 0.0
    """Of the decode alone, prefill and what was there before excluded."""
    context_used: int = 0
    context_size: int = 0
    """0: a server that does not say."""
    estimated: bool = False
    """Whether the counts of tokens are guesses, because a server gave none."""
    note: str = ""
    """One sentence where a reply is not what was asked for: it thought, though thinking is off."""
    dtype: str = ""
    """In which the model computed."""
    quant: str = ""
    """How its weights were held, as ModelInfo.quant."""
    device: str = ""
    threads: int = 0
    """Of the CPU that the model used."""
    memory: int = 0
    """Bytes of weights and of the chat's cache at the end; 0: unknown."""


class Attachment(msgspec.Struct, frozen=True):
    """A text file that goes with a message, as it was when it was attached."""

    name: str
    text: str


class ImageRef(msgspec.Struct, frozen=True):
    """An image that goes with a message; its pixels lie with the engine."""

    id: str
    """SHA-256 in hex of the PNG that is kept."""
    name: str
    width: int
    height: int
    """Pixels, upright."""


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One node of a chat's tree."""

    id: str
    chat: str
    role: Role
    text: str = ""
    """Exactly what was typed or decoded; never cleaned up."""
    thinking: str = ""
    parent: str | None = None
    state: MessageState = "done"
    created: float = 0.0
    """Unix time in seconds."""
    model: str = ""
    """Id of the model that answered, or will."""
    adapter: str = ""
    settings: ChatSettings | None = None
    """As used for this reply, defaults of the model filled in, the seed too."""
    finish: Finish | None = None
    stats: ReplyStats | None = None
    error: ErrorInfo | None = None
    mark: Mark = ""
    origin: Origin = ""
    source: str | None = None
    """The message that an edited, continued or branched one was made of."""
    files: tuple[Attachment, ...] = ()
    images: tuple[ImageRef, ...] = ()
    extra: str = ""
    """JSON of an imported message that has no place here (tool calls, say); exported unchanged."""
    version: int = 1
    """1-based place among its siblings (same parent and role)."""
    versions: int = 1

    @property
    def live(self) -> bool:
        """Whether it is still to be written or growing."""
        return self.state != "done"


class ChatInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """One row of the chats list."""

    id: str
    title: str = ""
    model: str = ""
    created: float = 0.0
    updated: float = 0.0
    head: str | None = None
    """Id of the leaf of the path shown."""
    settings: ChatSettings = ChatSettings()
    draft: str = ""
    saved: bool = True
    """False: lives in memory only (one-shot or incognito)."""
    tags: tuple[str, ...] = ()
    archived: bool = False
    view: str = ""
    """What a screen wants to find again (folds, scroll), in its own words."""


class ModelInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """One model, as far as config.json and the safetensors headers tell, and its state in the engine."""

    id: str
    """`demo`, a hub id such as `Qwen/Qwen3-0.6B`, or an absolute folder path."""
    name: str
    source: Literal["demo", "hub", "folder", "ollama", "lmstudio", "server"] = "folder"
    """Where it was found; what other programs keep is read in place."""
    runs_on: RunsOn = "torch"
    path: str = ""
    """A folder, a GGUF file, or the address of a server."""
    family: str = ""
    """config.model_type, e.g. `qwen3`."""
    parameters: int = 0
    bytes_on_disk: int = 0
    context: int = 0
    """Tokens at most (max_position_embeddings)."""
    dtype: str = ""
    thinking: ThinkingKind = "never"
    vision: bool = False
    """Whether it can be shown images."""
    chat: bool = True
    """False: a base model without a chat template; it opens in completion mode."""
    support: Literal["tested", "untested", "unsupported"] = "tested"
    why: str = ""
    """One sentence when untested, unsupported or without a chat template."""
    state: Literal["available", "loading", "ready"] = "available"
    progress: float = 0.0
    """0 to 1 while loading."""
    memory: int = 0
    """Bytes of weights held while ready."""
    device: str = ""
    defaults: Sampling = Sampling()
    """From the model's own generation_config, once loaded."""
    plain_defaults: Sampling = Sampling()
    """The same while thinking is off."""
    load_dtype: str = ""
    quant: str = ""
    """How weights are held once loaded: empty is as `load_dtype`, else a `Quant`, or a GGUF file's own."""
    note: str = ""
    """One sentence on how a loaded one is held, where a person should know."""
    shape: Shape | None = None
    """Widths and layers, which the fit estimate needs; None where config.json does not tell."""
    active: int = 0
    """Parameters that one token passes through, of a model with experts; 0: all of them."""
    experts: int = 0
    """Parameters inside experts."""


class GpuSample(msgspec.Struct, frozen=True, omit_defaults=True):
    """One GPU at one moment. Bytes; None is unknown, with the reason in `why`."""

    name: str
    kind: Literal["nvidia", "amd", "apple", "intel"]
    vram_total: int | None = None
    vram_used: int | None = None
    gtt_total: int | None = None
    gtt_used: int | None = None
    busy: float | None = None
    """0 to 1."""
    why: str = ""
    address: str = ""
    """On the PCI bus, as `0000:04:00.0`."""
    integrated: bool | None = None
    """Whether it has no memory chips of its own."""
    visible_total: int | None = None
    """Of the VRAM, what the CPU can reach."""
    visible_used: int | None = None
    ours_vram: int | None = None
    """By the engine and its children, as the driver tells it."""
    ours_gtt: int | None = None
    memory_busy: float | None = None
    """0 to 1."""
    power: float | None = None
    """Watts."""
    clock: int | None = None
    """Of the shaders, in Hz."""
    temperature: float | None = None
    """Degrees Celsius."""
    age: float = 0.0
    """Seconds since these numbers were read, where the driver does not answer now."""


class MonitorSample(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the machine holds at one moment. Bytes."""

    at: float = 0.0
    ram_total: int = 0
    ram_available: int = 0
    swap_total: int = 0
    swap_used: int = 0
    engine_rss: int = 0
    engine_mapped: int = 0
    """Of `engine_rss`: pages of files. `ram_available` counts them, though loaded weights may be among it."""
    cpu: float = 0.0
    """0 to 1 over all cores."""
    engine_cpu: float = 0.0
    """In cores: 2.0 is two cores full."""
    cores: int = 1
    gpus: tuple[GpuSample, ...] = ()
    pools: tuple[Pool, ...] = ()
    """The main one first."""
    holdings: tuple[Holding, ...] = ()
    torch: tuple[TorchMemory, ...] = ()
    """By device; none on the CPU."""
    pressure: Pressure | None = None
    """None where the kernel does not tell."""
    strain: Strain = Strain()
    swings: dict[str, Swing] = {}
    """By pool (its `used`), and `engine` (its `engine_rss`)."""
    limit: int | None = None
    """Bytes that the container may use (cgroup v2 memory.max); GTT does not count."""
    limit_used: int | None = None
    engine_pss: int | None = None
    """The engine's fair share of resident pages; read every few seconds."""
    shmem: int | None = None
    """POSIX shared memory and tmpfs (Shmem)."""
    shm_total: int | None = None
    """Of /dev/shm."""
    shm_used: int | None = None
    whys: dict[str, str] = {}
    """Why a number is unknown, by its field: `limit_used`, `pressure`."""

    @property
    def ram_usable(self) -> tuple[int, int]:
        """(total, available) as far as a container's limit lets the engine have it."""
        if self.limit is None or self.limit >= self.ram_total > 0:
            return self.ram_total, self.ram_available
        left = self.limit if self.limit_used is None else max(0, self.limit - self.limit_used)
        return self.limit, min(left, self.ram_available) if self.ram_total else left


class DeviceFinding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One GPU of the machine, and whether this torch can compute on it."""

    name: str
    kind: Literal["nvidia", "amd", "apple"]
    usable: bool = False
    why: str = ""
    """One sentence when it is not usable."""
    remedy: str = ""
    """What would change that: a command to type, or a sentence; empty when nothing would."""


class EngineInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """The engine itself."""

    id: str
    """New at each start."""
    pid: int
    version: str
    started: float
    host: str = ""
    torch: Literal["loading", "ready", "failed"] = "loading"
    """Whether the model thread has imported torch yet."""
    devices: tuple[DeviceFinding, ...] = ()
    """The GPUs of the machine, known once torch is imported."""
    load_dtype: str = ""
    """The dtype that a load takes here when none is asked for; empty until torch is imported."""
    fit: FitRules = FitRules()
    """What fit estimates of this machine go by."""


class Snapshot(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that a client needs to draw its first screen; every later event follows it."""

    engine: EngineInfo
    models: tuple[ModelInfo, ...] = ()
    chats: tuple[ChatInfo, ...] = ()
    """The newest 50."""
    live: tuple[Message, ...] = ()
    """Replies waiting or growing, with their text so far."""
    default_model: str = "demo"
    runs: tuple[RunInfo, ...] = ()
    """The newest 50."""
    adapters: tuple[AdapterInfo, ...] = ()
    monitor: MonitorSample | None = None
    downloads: tuple[DownloadInfo, ...] = ()
    """As ListDownloads has them."""
    serving: ServingInfo | None = None
    """The endpoint for other programs; None while there is none."""
