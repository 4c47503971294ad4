"""The model thread's side of `engine.backend`: loaded models, their chats' caches, replies."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import nullcontext
from itertools import count

import torch
from msgspec.structs import replace
from transformers import PreTrainedModel
from transformers.utils import logging as transformers_logging

from engine.backend import Backend, LoadSpec, ReplyResult, ReplySink, ReplySpec
from engine.chat.thinking import soft_switch
from engine.protocol.errors import fault
from engine.protocol.specs import ChatSettings, ModelInfo
from engine.workers.adapted import AdaptedModels
from engine.workers.decode import Decoding, Limits
from engine.workers.defaults import resolve
from engine.workers.device import (
    give_back_memory,
    is_out_of_memory,
    out_of_memory,
    shares_processor,
    use_threads,
)
from engine.workers.gate import Gate
from engine.workers.loaded import LoadedModel, load
from engine.workers.prefix import PrefixCache
from engine.workers.prompt import Prompt, build_prompt
from engine.workers.sampling import Sampler
from engine.workers.steps import CachedSteps, RecomputingSteps, Steps
from engine.workers.tokens import TokenDecoder
from engine.workers.training.trainer import TorchTrainer
from engine.workers.writer import ReplyWriter

CACHED_CHATS = 4
CACHED_BYTES = 2 << 30
"""Chats and bytes of KV cache kept beside the chat in use; the oldest go first."""


def create() -> Backend:
    """A backend without models. Imports torch and transformers, which takes seconds."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    return TorchBackend()


class TorchBackend:
    """Owns the loaded models and their caches; see engine.backend.Backend."""

    def __init__(self) -> None:
        self._models: dict[str, LoadedModel] = {}
        self._caches: OrderedDict[str, PrefixCache] = OrderedDict()
        self._serial = count(1)
        self._adapted = AdaptedModels()
        self._gate = Gate()
        self.trainer = TorchTrainer(self._models.get, self._gate)

    def load(
        self,
        spec: LoadSpec,
        progress: Callable[[float, str], None],
        cancelled: threading.Event,
    ) -> ModelInfo:
        """Load a model; one of the same id is replaced only once the new one is there."""
        try:
            loaded = load(spec, next(self._serial), progress, cancelled)
        finally:
            give_back_memory()
        self.unload(spec.model.id)
        self._models[spec.model.id] = loaded
        return loaded.info

    def unload(self, model: str) -> None:
        """Drop the weights and all caches of a model; unknown ids are ignored."""
        gone = self._models.pop(model, None)
        if gone is None:
            return
        stale = [chat for chat, cache in self._caches.items() if _serial_of(cache.key) == gone.serial]
        for chat in stale:
            del self._caches[chat]
        self._adapted.forget(gone.serial)
        del gone
        give_back_memory()

    def forget(self, chat: str) -> None:
        """Drop the KV cache of a chat."""
        if self._caches.pop(chat, None) is not None:
            give_back_memory()

    def allocated(self) -> int:
        """Bytes of weights and caches."""
        weights = sum(loaded.info.memory for loaded in self._models.values())
        return weights + sum(cache.nbytes() for cache in self._caches.values())

    def reply(self, spec: ReplySpec, sink: ReplySink) -> ReplyResult:
        """Generate one reply.

        Raises EngineError: `model_not_loaded`, `prompt_too_long`, `template_failed`, `out_of_memory`,
        `broken_logits`, `adapter_broken`.
        """
        loaded = self._models.get(spec.model)
        if loaded is None:
            raise fault("model_not_loaded", "The model is not loaded", remedy="Load it, then ask again")
        settings = _effective(spec, loaded)
        prompt = build_prompt(
            loaded.vocabulary,
            spec.turns,
            settings,
            thinking=loaded.info.thinking,
            context=loaded.info.context,
        )
        model = loaded.model if spec.adapter is None else self._adapted.get(loaded, spec.adapter)
        use_threads(loaded.info.parameters)
        first = self._gate.chatting() if shares_processor(model.device) else nullcontext()
        try:
            with first, torch.inference_mode():
                steps = self._steps(loaded, model, spec, prompt)
                return self._generate(loaded, spec.chat, prompt, settings, steps, sink)
        except BaseException as error:
            # A forward that failed half way leaves layers of different lengths.
            self.forget(spec.chat)
            if is_out_of_memory(error):
                raise out_of_memory("writing the reply", error) from error
            raise

    def _generate(
        self,
        loaded: LoadedModel,
        chat: str,
        prompt: Prompt,
        settings: ChatSettings,
        steps: Steps,
        sink: ReplySink,
    ) -> ReplyResult:
        vocabulary = loaded.vocabulary
        writer = ReplyWriter(TokenDecoder(vocabulary.tokenizer), vocabulary.parser(prompt.thinking), sink)
        decoding = Decoding(
            steps,
            Sampler(settings.sampling, prompt.ids),
            writer,
            sink,
            Limits(loaded.info.context, settings.sampling.max_tokens, settings.think_budget),
            stops=vocabulary.stops,
            early_stop=vocabulary.early_stop(),
        )
        finish = decoding.run(prompt)
        self._make_room(chat)
        return ReplyResult(writer.text("answer"), writer.text("thinking"), finish, decoding.stats(), settings)

    def _steps(self, loaded: LoadedModel, model: PreTrainedModel, spec: ReplySpec, prompt: Prompt) -> Steps:
        if not loaded.cacheable:
            return RecomputingSteps(model)
        key = (loaded.serial, spec.adapter and (spec.adapter.id, spec.adapter.version))
        chat = spec.chat
        cache = self._caches.get(chat)
        if cache is None or cache.key != key:
            cache = PrefixCache(key, model.config)
            self._caches[chat] = cache
        self._caches.move_to_end(chat)
        return CachedSteps(model, cache, loaded.vocabulary.boundary(prompt.ids))

    def _make_room(self, chat: str) -> None:
        """Forget the caches used longest ago."""
        sizes = {name: cache.nbytes() for name, cache in self._caches.items() if name != chat}
        for name in list(sizes):
            if len(sizes) < CACHED_CHATS and sum(sizes.values()) <= CACHED_BYTES:
                return
            del self._caches[name], sizes[name]


def _effective(spec: ReplySpec, loaded: LoadedModel) -> ChatSettings:
    """The settings as this reply uses them: `/think` in the message, the model's defaults, a seed."""
    settings = spec.settings
    switch = soft_switch(spec.turns[-1].text) if spec.turns else None
    think = settings.think if switch is None else switch
    defaults = loaded.defaults.thinking if think else loaded.defaults.plain
    return replace(settings, think=think, sampling=resolve(settings.sampling, defaults))


def _serial_of(key: Hashable) -> object:
    return key[0] if isinstance(key, tuple) else None
