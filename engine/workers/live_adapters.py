"""Adapters on the live model: whether one changes anything, and exports beside it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from msgspec.structs import replace
from safetensors import SafetensorError, safe_open

from engine.adapter_works import ExportJob, Progress, ProofSpec, Reference, Written
from engine.models.adapters import WEIGHTS
from engine.protocol.adapters import Check, Exported, Proof
from engine.protocol.errors import fault
from engine.workers.adapted import AdaptedModels
from engine.workers.device import shares_processor, use_threads
from engine.workers.gate import Gate
from engine.workers.loaded import LoadedModel

PROVED = 32
"""Tokens compared at most."""


class LiveAdapters:
    """See engine.adapter_works.AdapterWorks."""

    def __init__(
        self, models: Callable[[str], LoadedModel | None], adapted: AdaptedModels, gate: Gate
    ) -> None:
        self._models = models
        self._adapted = adapted
        self._gate = gate

    def prove(self, spec: ProofSpec, cancelled: threading.Event) -> Proof:
        """Greedy text with and without the adapter, until one of the prompts tells them apart."""
        from engine.workers.export.compare import PROMPTS

        loaded = self._loaded(spec.model.id)
        modules, nonzero = counted(Path(spec.adapter.path))
        proof = None
        for prompt in (spec.prompt,) if spec.prompt else PROMPTS:
            proof = self._compared(loaded, spec, prompt, cancelled)
            if proof.diverges is not None:
                break
        assert proof is not None
        active = proof.diverges is not None or proof.kl > 1e-6
        proof = replace(proof, modules=modules, nonzero=nonzero, active=active)
        return replace(proof, words=told(proof, spec.adapter.name))

    def reference(self, spec: ProofSpec, cancelled: threading.Event) -> Reference:
        """What exports are compared with."""
        from engine.workers.export.compare import reference

        loaded = self._loaded(spec.model.id)
        with self._running(loaded):
            return reference(loaded, self._adapted.get(loaded, spec.adapter, spec.weight), cancelled)

    def check_live(self, job: ExportJob, written: Written, told: Reference) -> Check:
        """The copy of an adapter on the live weights."""
        from engine.workers.export.compare import greedy, judge, place_all, unchecked

        if not written.path:
            return unchecked("nothing was written")
        loaded = self._loaded(job.model.id)
        with self._running(loaded):
            copied = AdaptedModels().get(loaded, replace(job.adapter, path=written.path), job.weight)
            never, rows = threading.Event(), []
            for ids, start in zip(told.ids, told.starts, strict=True):
                reply = ids[start:]
                _, logs = greedy(loaded, copied, ids[:start], len(reply), never, forced=reply)
                rows.append([place_all(row) for row in logs])
        return judge(told, rows, "peft")

    def write(self, job: ExportJob, progress: Progress, cancelled: threading.Event) -> Written:
        """From the files on disk."""
        from engine.workers.export import forms

        return forms.write(job, progress, cancelled)

    def check(
        self,
        job: ExportJob,
        written: Written,
        told: Reference,
        progress: Progress,
        cancelled: threading.Event,
    ) -> Check:
        """Load what was written, and compare."""
        from engine.workers.export import forms

        return forms.check(job, written, told, progress, cancelled)

    def finish(self, job: ExportJob, written: Written, checked: Check) -> Exported:
        """Put it in its place."""
        from engine.workers.export import forms

        return forms.finish(job, written, checked)

    def drop(self, written: Written) -> None:
        """Remove what is not wanted."""
        if written.path:
            shutil.rmtree(written.path, ignore_errors=True)

    def _loaded(self, model: str) -> LoadedModel:
        loaded = self._models(model)
        if loaded is None:
            raise fault("model_not_loaded", "The model is not loaded", remedy="Load it, then ask again")
        return loaded

    @contextmanager
    def _running(self, loaded: LoadedModel) -> Iterator[None]:
        """The processor's turn for forwards, as a reply has it."""
        use_threads(loaded.info.parameters)
        first: Any = self._gate.chatting() if shares_processor(loaded.model.device) else nullcontext()
        with first, torch.inference_mode():
            yield

    def _compared(
        self, loaded: LoadedModel, spec: ProofSpec, prompt: str, cancelled: threading.Event
    ) -> Proof:
        from engine.workers.export.compare import greedy, prompt_ids

        ids = prompt_ids(loaded, prompt)
        with self._running(loaded):
            adapted = self._adapted.get(loaded, spec.adapter, spec.weight)
            theirs, with_logs = greedy(loaded, adapted, ids, PROVED, cancelled)
            ours, base_logs = greedy(loaded, loaded.model, ids, PROVED, cancelled)
        kl = float((with_logs[0].exp() * (with_logs[0] - base_logs[0])).sum())
        decode = loaded.vocabulary.tokenizer.decode
        return Proof(
            spec.adapter.id,
            loaded.info.id,
            spec.weight,
            prompt,
            str(decode(ours, skip_special_tokens=True)),
            str(decode(theirs, skip_special_tokens=True)),
            PROVED,
            first_difference(ours, theirs),
            max(0.0, kl),
        )


def first_difference(first: list[int], second: list[int]) -> int | None:
    """0-based place of the first token that differs, the end of the shorter one among them."""
    for place, (left, right) in enumerate(zip(first, second, strict=False)):
        if left != right:
            return place
    return None if len(first) == len(second) else min(len(first), len(second))


def counted(folder: Path) -> tuple[int, int]:
    """Layers that an adapter sits on, and those of them whose B matrix is not all zero."""
    modules = nonzero = 0
    try:
        with safe_open(folder / WEIGHTS, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - no mapping
                if ".lora_B" in name or ".lora_embedding_B" in name:
                    modules += 1
                    nonzero += bool(file.get_tensor(name).count_nonzero())
    except (OSError, SafetensorError) as error:
        raise fault("adapter_broken", "The adapter cannot be read", str(error).partition("\n")[0]) from error
    return modules, nonzero


def told(proof: Proof, name: str) -> str:
    """The proof in one sentence."""
    if proof.weight == 0:
        return f"{name} is off: its weight is 0"
    if proof.modules and not proof.nonzero:
        return (
            f"{name} changes nothing: all of its {proof.modules} B matrices are zero, as before any training"
        )
    if not proof.active:
        return f"{name} changes nothing here: {proof.tokens} tokens and the odds of the first are the base's"
    layers = f"{proof.nonzero} of {proof.modules} layers changed, KL {proof.kl:.2g} nats"
    if proof.diverges is None:
        return f"{name} is active, but too weak for another word in {proof.tokens} tokens ({layers})"
    return f"{name} is active: token {proof.diverges + 1} is another already ({layers})"
