"""One loaded GGUF model: its process, which is started anew when it ended or its context must grow."""

from __future__ import annotations

import threading
from pathlib import Path

from msgspec.structs import replace

from engine.llama.process import LlamaProcess, Progress
from engine.llama.sampling import defaults
from engine.llama.vocabulary import LlamaVocabulary
from engine.llama.wire import Wire
from engine.models import footprint
from engine.models.gguf import template_of
from engine.models.gguf_header import GgufHeader, read_header
from engine.models.headers import Broken
from engine.monitor.available import available_ram
from engine.protocol.errors import fault
from engine.protocol.specs import ModelInfo

STEP = 256
"""Tokens that a context is a multiple of."""
LEAST, MOST = 4096, 32768
"""Tokens that the cache is made for at first; it grows when a chat does."""
CACHE_BYTES = 2 << 30
CACHE_SHARE = 0.25
"""Of the memory that is free: what the first cache may take at most, and never more than CACHE_BYTES."""
SPARE = 512 << 20
"""Bytes of memory that a cache leaves free at least."""
UNKNOWN_CONTEXT = 4096


class Held:
    """Used in the lane of llama.cpp; its vocabulary in any thread."""

    def __init__(self, model: ModelInfo, kept: int, progress: Progress, cancelled: threading.Event) -> None:
        """`kept`: bytes of memory that stay free.

        Raises EngineError `load_failed`, `out_of_memory`, `cancelled`, `model_broken`, `llama_missing`.
        """
        self._file = Path(model.path)
        self._kept = max(SPARE, kept)
        header = _header(self._file, model.name)
        self._model = replace(model, context=model.context or UNKNOWN_CONTEXT)
        self._process = self._start(self._first_context(), progress, cancelled)
        try:
            self.vocabulary = LlamaVocabulary(self._process.wire, header, template_of(header))
        except BaseException:
            self._process.close()
            raise
        thinking, plain = defaults(model)
        self.info = replace(
            self._model,
            state="ready",
            progress=1.0,
            memory=self._process.memory(),
            device=self._process.device,
            defaults=thinking,
            plain_defaults=plain,
            quant=model.quant or header.quant,
        )

    @property
    def memory(self) -> int:
        """Bytes that its process has resident."""
        return self._process.memory()

    def close(self) -> None:
        """End the process; `with_context` starts another."""
        self._process.close()

    def with_context(self, tokens: int, cancelled: threading.Event) -> tuple[Wire, int]:
        """The wire to ask, and the context there is: at least so many tokens where memory allows it.

        A process that ended is started anew. Raises EngineError as a load does.
        """
        context = self._process.context
        if self._process.alive and tokens < context:
            return self._process.wire, context
        if tokens >= context:
            context = self._larger(tokens)
        if not self._process.alive or context > self._process.context:
            self._process.close()
            self._process = self._start(context, lambda fraction, phase: None, cancelled)
            self.vocabulary.through(self._process.wire)
        return self._process.wire, context

    def _start(self, context: int, progress: Progress, cancelled: threading.Event) -> LlamaProcess:
        model = self._model
        process = LlamaProcess(self._file, model.name, context, model.parameters)
        process.wait(model.bytes_on_disk, progress, cancelled)
        return process

    def _first_context(self) -> int:
        free = available_ram() - self._model.bytes_on_disk - self._kept
        budget = min(CACHE_BYTES, int(max(0, free) * CACHE_SHARE))
        return self._bounded(min(MOST, max(LEAST, budget // self._token_bytes())))

    def _larger(self, tokens: int) -> int:
        """Twice what there is, or what is needed; what there is where memory is short."""
        now = self._process.context
        wanted = self._bounded(max(2 * now, tokens + STEP))
        free = available_ram() - self._kept
        return wanted if (wanted - now) * self._token_bytes() <= free else now

    def _bounded(self, tokens: int) -> int:
        tokens = min(tokens, self._model.context)
        return max(STEP, -(-tokens // STEP) * STEP)

    def _token_bytes(self) -> int:
        """Of keys and values; a guess where the shape is unknown."""
        shape = self._model.shape
        return max(1, footprint.cache(shape, MOST) // MOST) if shape is not None else 128 << 10


def _header(file: Path, name: str) -> GgufHeader:
    try:
        return read_header(file, tokens=True)
    except Broken as error:
        raise fault("model_broken", f"{name} cannot be loaded", str(error)) from error
