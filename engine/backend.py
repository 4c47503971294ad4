"""The seam between the host and the worker that owns the models.

The host knows only these types; `engine.workers.backend.create` is imported by name in the model thread,
so that nothing outside `engine.workers` ever imports torch. Every method runs in the model thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import msgspec

from engine.protocol.inspect import Inspection
from engine.protocol.runs import AdapterInfo
from engine.protocol.specs import (
    ChatSettings,
    Finish,
    ImageRef,
    MessageState,
    ModelInfo,
    Part,
    Quant,
    ReplyStats,
    Role,
)
from engine.training import Trainer

if TYPE_CHECKING:
    from engine.adapter_works import AdapterWorks
    from engine.batch_works import Batcher
    from engine.counting import Counter
    from engine.score_works import Scorer


class Turn(msgspec.Struct, frozen=True):
    """One earlier message as the prompt sees it."""

    role: Role
    text: str
    thinking: str = ""
    images: tuple[ImageRef, ...] = ()


class LoadSpec(msgspec.Struct, frozen=True):
    """Which weights to load, from where, how."""

    model: ModelInfo
    """As discovered: `path` holds config.json and safetensors."""
    dtype: str = ""
    """float32, bfloat16, float16; empty: what this machine does fast."""
    quant: Quant = ""
    kept: int = 0
    """Bytes of memory that a growing KV cache leaves free."""
    device: str = ""
    """`cpu`, `cuda:1`; empty: the first GPU where there is one."""


class Begun(msgspec.Struct, frozen=True):
    """What a reply begins with, as if it had been generated already."""

    ids: tuple[int, ...] = ()
    """Its tokens, where they are known; else the texts are tokenised."""
    thinking: str = ""
    text: str = ""
    ends: bool = False
    """Whether a stop token at the end of `ids` ends the reply there; else it is dropped."""
    thinking_s: float = 0.0
    """Seconds that the thinking in it took."""


class ReplySpec(msgspec.Struct, frozen=True):
    """One reply to generate."""

    model: str
    chat: str
    """Key of the KV cache to reuse."""
    turns: tuple[Turn, ...]
    """Root to the user's message; the system prompt is in the settings."""
    settings: ChatSettings
    adapter: AdapterInfo | None = None
    """The one that `settings.adapter` names; None is the base alone."""
    begun: Begun | None = None
    """A reply that is continued or branched; what it begins with is part of its text."""
    more_adapters: tuple[AdapterInfo, ...] = ()
    """Those that `settings.more_adapters` names, in its order."""

    @property
    def adapters(self) -> tuple[tuple[AdapterInfo, float], ...]:
        """All active ones with their weights; empty is the base alone."""
        if self.adapter is None:
            return ()
        more = zip(self.more_adapters, self.settings.more_adapters, strict=True)
        return ((self.adapter, self.settings.adapter_weight), *((info, part.weight) for info, part in more))


class ReplySink(Protocol):
    """Where a growing reply goes. Called from the model thread; must not block."""

    cancelled: threading.Event
    """Set by Stop; checked each token."""
    answer_now: threading.Event
    """Set by "finish thinking now"; checked each token while thinking."""

    def moved(self, state: MessageState) -> None: ...

    def text(self, part: Part, text: str) -> None: ...

    def stats(self, stats: ReplyStats) -> None: ...


class ReplyResult(msgspec.Struct, frozen=True):
    """A finished reply; text and thinking are what the sink got, concatenated."""

    text: str
    thinking: str
    finish: Finish
    stats: ReplyStats
    settings: ChatSettings
    """As used: the model's defaults filled in, and the seed drawn."""
    ids: tuple[int, ...] = ()
    """All tokens of the reply, special ones too, in order."""
    peak: int = 0
    """Bytes that the model took at most since before its load, if nothing else disturbed that; 0: unknown."""
    memory: int = 0
    """Bytes of weights and of the chat's cache at the end; 0: unknown."""


class InspectSpec(msgspec.Struct, frozen=True):
    """A stretch of a reply's tokens to look into."""

    reply: ReplySpec
    """As it was generated; `begun` is all of the reply."""
    start: int = 0
    limit: int = 256
    top: int = 8
    """Alternatives of each token."""


class Backend(Protocol):
    """Owns the loaded models and their caches. Raises EngineError for every foreseeable fault."""

    @property
    def trainer(self) -> Trainer:
        """Its methods run in the training thread."""
        ...

    @property
    def counter(self) -> Counter:
        """Its methods run in the counting thread."""
        ...

    @property
    def batcher(self) -> Batcher:
        """Its methods run in the batch thread."""
        ...

    @property
    def scorer(self) -> Scorer:
        """Its methods run in the scoring thread."""
        ...

    @property
    def adapters(self) -> AdapterWorks:
        """Its methods run in the model thread or in the export thread, as they say."""
        ...

    def load(
        self,
        spec: LoadSpec,
        progress: Callable[[float, str], None],
        cancelled: threading.Event,
    ) -> ModelInfo:
        """Load and return the model's info with state `ready`, memory, device, defaults, thinking.

        `progress(fraction, phase)` is called as it goes. Raises EngineError `cancelled` when cancelled.
        """
        ...

    def unload(self, model: str) -> None:
        """Drop the weights and all caches of a model; unknown ids are ignored."""
        ...

    def reply(self, spec: ReplySpec, sink: ReplySink) -> ReplyResult:
        """Generate one reply, streaming into the sink. A stop or a full context still returns a result."""
        ...

    def inspect(self, spec: InspectSpec, cancelled: threading.Event) -> Inspection:
        """What the model thought likely at each token of a reply; computes as far as the stretch needs.

        Raises EngineError `model_not_loaded`, `cancelled`, and as `reply` does.
        """
        ...

    def forget(self, chat: str) -> None:
        """Drop the KV cache of a chat."""
        ...

    def allocated(self) -> int:
        """Bytes of weights and caches that torch holds."""
        ...


def completion_prompt(turns: tuple[Turn, ...]) -> str:
    """The prompt of a base model without a chat template: the texts, one after another."""
    return "".join(turn.text for turn in turns)
