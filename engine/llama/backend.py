"""GGUF models behind the same chat: llama.cpp's side of engine.answering.Answerer."""

from __future__ import annotations

import threading
from collections.abc import Callable

from msgspec.structs import replace

from engine.backend import InspectSpec, LoadSpec, ReplyResult, ReplySink, ReplySpec
from engine.chat.window import context_size
from engine.llama.counting import LlamaCounter
from engine.llama.held import Held
from engine.llama.inspect import inspect
from engine.llama.prompt import build_prompt, switched
from engine.llama.sampling import resolve
from engine.llama.vocabulary import LlamaVocabulary
from engine.llama.writer import LlamaWriter
from engine.llama.writing import Writing
from engine.models.gguf import installed
from engine.protocol.errors import EngineError, fault
from engine.protocol.inspect import Inspection
from engine.protocol.specs import ChatSettings, ModelInfo


class LlamaBackend:
    """Owns one process a loaded model. Raises EngineError for every foreseeable fault."""

    def __init__(self) -> None:
        """Raises ImportError where llama.cpp is not installed."""
        if not installed():
            raise ImportError("The package xllamacpp is missing")
        self._held: dict[str, Held] = {}
        self.counter = LlamaCounter(self._vocabulary)

    def load(
        self, spec: LoadSpec, progress: Callable[[float, str], None], cancelled: threading.Event
    ) -> ModelInfo:
        """Load a model; one of the same id is replaced only once the new one is there.

        Raises EngineError `quant_refused`, `model_broken`, `load_failed`, `out_of_memory`, `cancelled`.
        """
        model = spec.model
        if spec.dtype or spec.quant:
            raise fault(
                "quant_refused",
                f"{model.name} is held as its GGUF file has it: {model.quant or 'as it is'}",
                remedy="Leave --dtype and --quant out, or choose a file of another quantisation",
            )
        held = Held(model, spec.kept, progress, cancelled)
        self.unload(model.id)
        self._held[model.id] = held
        return held.info

    def unload(self, model: str) -> None:
        """End the model's process; its memory is free when this returns. Unknown ids are ignored."""
        held = self._held.pop(model, None)
        if held is not None:
            held.close()

    def close(self) -> None:
        """End all processes."""
        for model in list(self._held):
            self.unload(model)

    def reply(self, spec: ReplySpec, sink: ReplySink) -> ReplyResult:
        """Generate one reply.

        Raises EngineError `model_not_loaded`, `adapter_unfit`, `prompt_too_long`, `reply_full`,
        `context_full`, `template_failed`, `llama_lost`, `llama_refused`.
        """
        held, settings = self._prepared(spec)
        size = context_size(held.info.context, settings)
        held.with_context(0, sink.cancelled)
        prompt = build_prompt(held.vocabulary, spec, settings, held.info.thinking, size)
        thought_s = spec.begun.thinking_s if spec.begun else 0.0
        writer = LlamaWriter(held.vocabulary.parser(prompt.thinking), sink, thought_s)
        writing = Writing(
            held.vocabulary,
            writer,
            sink,
            prompt,
            settings,
            size,
            lambda tokens: held.with_context(tokens, sink.cancelled),
        )
        try:
            finish = writing.run()
        except EngineError as error:
            if error.info.code == "llama_lost":
                held.close()  # whatever is left of it; the next reply starts another
            raise
        texts = writer.text("answer"), writer.text("thinking")
        return ReplyResult(*texts, finish, writing.stats(), settings, tuple(writing.ids))

    def inspect(self, spec: InspectSpec, cancelled: threading.Event) -> Inspection:
        """Probabilities of a reply's tokens; see engine.llama.inspect. Raises EngineError as `reply` does."""
        held, settings = self._prepared(spec.reply)
        held.with_context(0, cancelled)
        size = context_size(held.info.context, settings)
        prompt = build_prompt(held.vocabulary, spec.reply, settings, held.info.thinking, size)
        wire, _ = held.with_context(len(prompt.ids) + len(prompt.begun), cancelled)
        return inspect(wire, held.vocabulary, prompt, spec, cancelled)

    def forget(self, chat: str) -> None:
        """Nothing to drop: llama.cpp keeps prompts by their tokens, within a bound of its own."""

    def allocated(self) -> int:
        """Bytes of all models' processes."""
        return sum(held.memory for held in self._held.values())

    def _prepared(self, spec: ReplySpec) -> tuple[Held, ChatSettings]:
        """The model, and the settings as used: `/think` in the message, the model's defaults, a seed."""
        held = self._held.get(spec.model)
        if held is None:
            raise _not_loaded()
        if spec.adapter is not None:
            raise fault(
                "adapter_unfit",
                "Adapters cannot be put on a GGUF file",
                "llama.cpp holds its weights",
                "Choose the base without an adapter, or export the merged model as GGUF",
            )
        settings = switched(spec.turns, spec.settings)
        given = held.info.defaults if settings.think else held.info.plain_defaults
        return held, replace(settings, sampling=resolve(settings.sampling, given))

    def _vocabulary(self, model: str) -> LlamaVocabulary:
        held = self._held.get(model)
        if held is None:
            raise _not_loaded()
        return held.vocabulary


def _not_loaded() -> EngineError:
    return fault("model_not_loaded", "The model is not loaded", remedy="Load it, then ask again")
