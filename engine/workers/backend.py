"""The model thread's side of `engine.backend`: loaded models, their chats' caches, replies."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import count

import torch
from msgspec.structs import replace
from transformers import PreTrainedModel
from transformers.utils import logging as transformers_logging

from engine.backend import Backend, InspectSpec, LoadSpec, ReplyResult, ReplySink, ReplySpec
from engine.chat.window import context_size
from engine.protocol.errors import fault
from engine.protocol.inspect import Inspection
from engine.protocol.specs import ChatSettings, ModelInfo
from engine.workers.adapted import AdaptedModels
from engine.workers.batch import TorchBatcher
from engine.workers.begun import begin
from engine.workers.claims import check_ids
from engine.workers.counting import TokenCounter
from engine.workers.decode import Decoding, Limits
from engine.workers.device import (
    give_back_memory,
    is_out_of_memory,
    out_of_memory,
    shares_processor,
    use_threads,
)
from engine.workers.evaluate import TorchScorer
from engine.workers.gate import Gate
from engine.workers.growth import Growth
from engine.workers.inspect import PAGE, Inspected
from engine.workers.live_adapters import LiveAdapters
from engine.workers.loaded import LoadedModel, load
from engine.workers.memory import CountedSink, tell_caches
from engine.workers.prefix import PrefixCache, common_prefix
from engine.workers.prompt import Prompt
from engine.workers.sampling import Sampler
from engine.workers.seeing import SeeingSteps
from engine.workers.settled import settled
from engine.workers.steps import CachedSteps, RecomputingSteps, Steps
from engine.workers.tokens import TokenDecoder
from engine.workers.training.trainer import TorchTrainer
from engine.workers.writer import ReplyWriter

CACHED_CHATS = 4
CACHED_BYTES = 2 << 30
"""Chats and bytes of KV cache kept beside the chat in use; the oldest go first."""
INSPECTED = "(inspected)"
"""Key of the cache of a reply that is looked into while its chat's own cache stands elsewhere."""


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
        self._inspected: Inspected | None = None
        self._serial = count(1)
        self._adapted = AdaptedModels()
        self._gate = Gate()
        self._growth = Growth()
        self.trainer = TorchTrainer(self._models.get, self._gate)
        self.batcher = TorchBatcher(self._models.get, self._gate)
        self.scorer = TorchScorer(self._models.get, self._gate)
        self.counter = TokenCounter()
        self.adapters = LiveAdapters(self._models.get, self._adapted, self._gate)

    def load(
        self,
        spec: LoadSpec,
        progress: Callable[[float, str], None],
        cancelled: threading.Event,
    ) -> ModelInfo:
        """Load a model; one of the same id is replaced only once the new one is there."""
        self._growth.begin(spec)
        try:
            loaded = load(spec, next(self._serial), progress, cancelled)
        finally:
            give_back_memory()
        if spec.model.id in self._models:
            self.unload(spec.model.id)
        self._models[spec.model.id] = loaded
        self._count()
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
        self.batcher.forget(gone.serial)
        self.scorer.forget(gone.serial)
        self._growth.forget(model)
        self._inspected = None
        del gone
        give_back_memory()
        self._count()

    def forget(self, chat: str) -> None:
        """Drop the KV cache of a chat."""
        if self._caches.pop(chat, None) is not None:
            give_back_memory()
            self._count()

    def allocated(self) -> int:
        """Bytes of weights and caches."""
        weights = sum(loaded.info.memory for loaded in self._models.values())
        return weights + sum(cache.nbytes() for cache in self._caches.values())

    def _count(self) -> None:
        """Say what the caches hold now."""
        tell_caches(self._caches, self._models.values())

    def reply(self, spec: ReplySpec, sink: ReplySink) -> ReplyResult:
        """Generate one reply.

        Raises EngineError: `model_not_loaded`, `prompt_too_long`, `reply_full`, `context_full`,
        `template_failed`, `out_of_memory`, `no_room_to_grow`, `vocabulary_mismatch`, `broken_logits`,
        `adapter_broken`, `adapter_unscalable`, `adapter_unmixable`.
        """
        loaded = self._loaded(spec.model)
        settings = settled(spec, loaded)
        prompt, begun = begin(loaded.vocabulary, spec, settings, loaded.info)
        self._room_for(loaded, spec.chat, [*prompt.ids, *begun])
        with self._running(loaded, spec, spec.chat, "writing the reply") as model:
            steps = self._steps(loaded, model, spec, spec.chat, prompt)
            result = self._generate(loaded, spec, prompt, begun, settings, steps, sink)
        own = self._caches.get(spec.chat)
        held = loaded.info.memory + (own.nbytes() if own is not None else 0)
        return replace(result, peak=self._growth.taken(spec.model), memory=held)

    def inspect(self, spec: InspectSpec, cancelled: threading.Event) -> Inspection:
        """Probabilities of a reply's tokens, as far as the stretch needs; see engine.workers.inspect.

        Raises EngineError as `reply` does, and `cancelled`.
        """
        reply = spec.reply
        loaded = self._loaded(reply.model)
        settings = settled(reply, loaded)
        prompt, ids = begin(loaded.vocabulary, reply, settings, loaded.info, written=True)
        weights = (_weights(loaded, reply), prompt.images)
        seen = Inspected(weights, loaded.vocabulary, prompt, ids, spec.top)
        if self._inspected is None or not seen.same(self._inspected):
            self._inspected = seen
        start = max(0, spec.start)
        end = start + min(max(0, spec.limit), PAGE)
        chat = self._cache_for(reply.chat, seen.sequence)
        with self._running(loaded, reply, chat, "looking into the reply") as model:
            self._inspected.extend(self._steps(loaded, model, reply, chat, prompt), end, cancelled)
        self._make_room(chat)
        self._count()
        return self._inspected.page(start, end)

    def _loaded(self, model: str) -> LoadedModel:
        loaded = self._models.get(model)
        if loaded is None:
            raise fault("model_not_loaded", "The model is not loaded", remedy="Load it, then ask again")
        return loaded

    @contextmanager
    def _running(
        self, loaded: LoadedModel, spec: ReplySpec, chat: str, doing: str
    ) -> Iterator[PreTrainedModel]:
        """The model that the reply runs on, for forwards over the cache of this key."""
        model = self._adapted.mixed(loaded, spec.adapters) if spec.adapters else loaded.model
        use_threads(loaded.info.parameters)
        first = self._gate.chatting() if shares_processor(model.device) else nullcontext()
        try:
            with first, torch.inference_mode():
                yield model
        except BaseException as error:
            # A forward that failed half way leaves layers of different lengths.
            self.forget(chat)
            if is_out_of_memory(error):
                raise out_of_memory(doing, error) from error
            raise

    def _cache_for(self, chat: str, sequence: list[int]) -> str:
        """The chat's own cache where looking into a reply takes nothing from it, else one beside it."""
        cache = self._caches.get(chat)
        kept = cache is None or common_prefix(cache.ids, sequence) == len(cache.ids)
        return chat if kept else INSPECTED

    def _generate(
        self,
        loaded: LoadedModel,
        spec: ReplySpec,
        prompt: Prompt,
        begun: list[int],
        settings: ChatSettings,
        steps: Steps,
        sink: ReplySink,
    ) -> ReplyResult:
        vocabulary = loaded.vocabulary
        writer = ReplyWriter(TokenDecoder(vocabulary.tokenizer), vocabulary.parser(prompt.thinking), sink)
        decoding = Decoding(
            steps,
            Sampler(settings.sampling, [*prompt.ids, *begun]),
            writer,
            CountedSink(sink, self._count),
            Limits(
                context_size(loaded.info.context, settings),
                settings.sampling.max_tokens,
                settings.think_budget,
            ),
            stops=vocabulary.stops,
            early_stop=vocabulary.early_stop(),
        )
        finish = decoding.run(prompt, begun, spec.begun.thinking_s if spec.begun else 0.0)
        self._make_room(spec.chat)
        self._count()
        return ReplyResult(
            writer.text("answer"),
            writer.text("thinking"),
            finish,
            decoding.stats(),
            settings,
            tuple(decoding.ids),
        )

    def _steps(
        self, loaded: LoadedModel, model: PreTrainedModel, spec: ReplySpec, chat: str, prompt: Prompt
    ) -> Steps:
        if not loaded.cacheable:
            return RecomputingSteps(model)
        key = _weights(loaded, spec)
        cache = self._caches.get(chat)
        if cache is None or cache.key != key:
            cache = PrefixCache(key, model.config)
            self._caches[chat] = cache
        self._caches.move_to_end(chat)
        boundary, eyes = loaded.vocabulary.boundary(prompt.ids), loaded.vocabulary.eyes
        if eyes is not None:
            return SeeingSteps(model, cache, boundary, eyes, prompt.images)
        return CachedSteps(model, cache, boundary)

    def _room_for(self, loaded: LoadedModel, chat: str, ids: list[int]) -> None:
        """Refuse a prompt before it is computed, when its cache would not fit or it has unknown tokens."""
        check_ids(loaded.info.name, ids, loaded.model.get_input_embeddings())
        if not loaded.cacheable:
            return
        own = self._caches.get(chat)
        weights = sum(model.info.memory for model in self._models.values())
        held = own.nbytes() if own is not None else 0

        def drop() -> bool:
            oldest = next((name for name in self._caches if name != chat), None)
            if oldest is not None:
                self.forget(oldest)
            return oldest is not None

        self._growth.make_room(loaded.info, loaded.model.device, len(ids), held, weights, drop)

    def _make_room(self, chat: str) -> None:
        """Forget the caches used longest ago."""
        sizes = {name: cache.nbytes() for name, cache in self._caches.items() if name != chat}
        for name in list(sizes):
            if len(sizes) < CACHED_CHATS and sum(sizes.values()) <= CACHED_BYTES:
                return
            del self._caches[name], sizes[name]


def _weights(loaded: LoadedModel, spec: ReplySpec) -> Hashable:
    """Names the weights that a KV cache belongs to."""
    adapters = tuple((info.id, info.version, weight) for info, weight in spec.adapters)
    return (loaded.serial, adapters)


def _serial_of(key: Hashable) -> object:
    return key[0] if isinstance(key, tuple) else None
