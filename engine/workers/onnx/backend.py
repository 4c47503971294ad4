"""ONNX models behind the same chat: onnxruntime-genai's side of engine.answering.Answerer."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import onnxruntime_genai as og
import torch
from msgspec.structs import replace

from engine.backend import InspectSpec, LoadSpec, ReplyResult, ReplySink, ReplySpec
from engine.chat.template import ChatTemplate
from engine.chat.window import context_size
from engine.models.headers import Broken
from engine.models.onnx import checked, ends
from engine.protocol.errors import EngineError, fault
from engine.protocol.inspect import Inspection
from engine.protocol.specs import ChatSettings, ModelInfo
from engine.workers.begun import begin
from engine.workers.counting import UNKNOWN_CONTEXT, TokenCounter
from engine.workers.decode import Decoding, Limits
from engine.workers.defaults import ModelDefaults, resolve
from engine.workers.device import is_out_of_memory, out_of_memory
from engine.workers.inspect import PAGE, Inspected
from engine.workers.onnx.steps import OnnxSteps
from engine.workers.prompt import switched
from engine.workers.sampling import Sampler
from engine.workers.tokens import TokenDecoder
from engine.workers.vocabulary import Vocabulary
from engine.workers.writer import ReplyWriter


@dataclass(frozen=True)
class Held:
    """A loaded model."""

    info: ModelInfo
    vocabulary: Vocabulary
    defaults: ModelDefaults
    words: int
    """Rows of its embedding."""
    steps: OnnxSteps


class OnnxBackend:
    """Owns the loaded models. Raises EngineError for every foreseeable fault."""

    def __init__(self) -> None:
        og.disable_telemetry_events()
        self._held: dict[str, Held] = {}
        self.counter = TokenCounter()

    def load(
        self, spec: LoadSpec, progress: Callable[[float, str], None], cancelled: threading.Event
    ) -> ModelInfo:
        """Load a model; one of the same id is replaced only once the new one is there.

        Raises EngineError `quant_refused`, `model_broken`, `tokenizer_broken`, `load_failed`,
        `out_of_memory`, `cancelled`.
        """
        name = spec.model.name
        if spec.dtype or spec.quant:
            raise fault(
                "quant_refused",
                f"{name} is held as its ONNX file has it",
                remedy="Leave --dtype and --quant out, or choose a folder of another quantisation",
            )
        progress(0.0, "reading the weights")
        held = _load(spec.model)
        if cancelled.is_set():
            raise fault("cancelled", "The load was cancelled")
        self.unload(spec.model.id)
        self._held[spec.model.id] = held
        return held.info

    def unload(self, model: str) -> None:
        """Let go of a model; unknown ids are ignored."""
        held = self._held.pop(model, None)
        if held is not None:
            held.steps.drop()

    def reply(self, spec: ReplySpec, sink: ReplySink) -> ReplyResult:
        """Generate one reply.

        Raises EngineError `model_not_loaded`, `adapter_unfit`, `prompt_too_long`, `reply_full`,
        `context_full`, `template_failed`, `vocabulary_mismatch`, `out_of_memory`, `onnx_failed`.
        """
        held, settings = self._prepared(spec)
        prompt, begun = begin(held.vocabulary, spec, settings, held.info)
        _check(held, [*prompt.ids, *begun])
        writer = ReplyWriter(
            TokenDecoder(held.vocabulary.tokenizer), held.vocabulary.parser(prompt.thinking), sink
        )
        sampling = settings.sampling
        decoding = Decoding(
            held.steps,
            Sampler(sampling, [*prompt.ids, *begun]),
            writer,
            sink,
            Limits(context_size(held.info.context, settings), sampling.max_tokens, settings.think_budget),
            stops=held.vocabulary.stops,
            early_stop=held.vocabulary.early_stop(),
        )
        with _in_one_sentence(held, "writing the reply"):
            finish = decoding.run(prompt, begun, spec.begun.thinking_s if spec.begun else 0.0)
        texts = writer.text("answer"), writer.text("thinking")
        return ReplyResult(*texts, finish, decoding.stats(), settings, tuple(decoding.ids))

    def inspect(self, spec: InspectSpec, cancelled: threading.Event) -> Inspection:
        """Probabilities of a reply's tokens. Raises EngineError as `reply` does, and `cancelled`."""
        held, settings = self._prepared(spec.reply)
        prompt, ids = begin(held.vocabulary, spec.reply, settings, held.info, written=True)
        seen = Inspected(held.info.id, held.vocabulary, prompt, ids, spec.top)
        _check(held, seen.sequence)
        start = max(0, spec.start)
        end = start + min(max(0, spec.limit), PAGE)
        with _in_one_sentence(held, "looking into the reply"):
            seen.extend(held.steps, end, cancelled)
        return seen.page(start, end)

    def forget(self, chat: str) -> None:
        """Nothing to drop: each model has one cache, whose tokens decide what of it is used."""

    def allocated(self) -> int:
        """Bytes of all models' weights."""
        return sum(held.info.memory for held in self._held.values())

    def _prepared(self, spec: ReplySpec) -> tuple[Held, ChatSettings]:
        """The model, and the settings as used: `/think` in the message, the model's defaults, a seed."""
        held = self._held.get(spec.model)
        if held is None:
            raise fault("model_not_loaded", "The model is not loaded", remedy="Load it, then ask again")
        if spec.adapter is not None:
            raise fault(
                "adapter_unfit",
                "Adapters cannot be put on an ONNX model",
                "ONNX Runtime holds its weights",
                "Choose the base without an adapter, or its folder with safetensors files",
            )
        settings = switched(spec.turns, spec.settings)
        given = held.defaults.thinking if settings.think else held.defaults.plain
        return held, replace(settings, sampling=resolve(settings.sampling, given))


def _load(asked: ModelInfo) -> Held:
    folder = Path(asked.path)
    try:
        config = checked(folder)
    except Broken as error:
        raise fault("model_broken", f"{asked.name} cannot be loaded", str(error)) from error
    template = ChatTemplate.load(folder)
    vocabulary = Vocabulary.load(folder, template, ends(config))
    thinking = template.thinking if template is not None else "never"
    defaults = ModelDefaults.read(folder, str(config["type"]), thinking)
    words = config.get("vocab_size")
    try:
        plan = og.Config(str(folder))
        plan.clear_providers()  # the processor alone, whatever the file would choose
        model = og.Model(plan)
    except Exception as error:  # the library raises whatever a broken file leads it to
        if is_out_of_memory(error):
            raise out_of_memory("loading the model", error) from error
        raise fault(
            "load_failed", f"{asked.name} could not be loaded", _line(error), "Download or convert it again"
        ) from error
    info = replace(
        asked,
        state="ready",
        progress=1.0,
        memory=asked.bytes_on_disk,
        device="CPU",
        context=asked.context or UNKNOWN_CONTEXT,
        thinking=thinking,
        chat=template is not None,
        defaults=defaults.thinking,
        plain_defaults=defaults.plain,
    )
    known = words if type(words) is int and words > 0 else vocabulary.tokenizer.vocab_size
    return Held(info, vocabulary, defaults, known, OnnxSteps(model, info.context))


def _check(held: Held, ids: list[int]) -> None:
    if ids and max(ids) >= held.words:
        raise fault(
            "vocabulary_mismatch",
            f"The tokenizer of {held.info.name} has tokens that its weights lack",
            f"Token {max(ids)} of {held.words}",
            "Download or convert it again, tokenizer and weights together",
        )


@contextlib.contextmanager
def _in_one_sentence(held: Held, doing: str) -> Iterator[None]:
    try:
        with torch.inference_mode():
            yield
    except EngineError:
        raise
    except Exception as error:  # the library raises plain RuntimeErrors
        held.steps.drop()
        if is_out_of_memory(error):
            raise out_of_memory(doing, error) from error
        raise fault(
            "onnx_failed", f"ONNX Runtime failed while {doing}", _line(error), "Ask again, or load it again"
        ) from error


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).partition("\n")[0][:300]
