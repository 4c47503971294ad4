"""One step on the longest rows before the first real one: what does not fit fails now, not at step 900.

It touches no weight, no optimiser and no generator, and leaves no gradient: the steps that follow compute
what they would have computed without it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import msgspec
import torch

from engine.models.fit import gib
from engine.monitor.available import available_ram
from engine.protocol.errors import EngineError
from engine.protocol.training import TrainSpec
from engine.runs.peak import PeakWatch
from engine.workers.device import give_back_memory, is_out_of_memory
from engine.workers.training.batches import in_order
from engine.workers.training.estimate import Shape, evaluation, need, parts, recomputed_layers, shape_of
from engine.workers.training.fitting import pool, remember, rules, too_large
from engine.workers.training.lesson import Lesson
from engine.workers.training.objective import Example, Objective
from engine.workers.training.recompute import decoder_layers, recompute
from engine.workers.training.student import Student

log = logging.getLogger(__name__)
FLOOR = 192 << 20
"""Bytes available below which a CPU's rehearsal gives up: the kernel would end the engine next."""


class Rehearsed(msgspec.Struct, frozen=True):
    """What a rehearsal found. Bytes are beside the weights that lay there before."""

    layers: int
    recomputed: int
    """Of `layers`, those that are computed again in backward."""
    predicted: int
    measured: int
    seconds: float
    """Of one micro-batch of the longest rows."""

    def left_s(self, lesson: Lesson, spec: TrainSpec, steps: int) -> float:
        """Seconds of so many steps, by the tokens of a mean row."""
        mean = lesson.tokens / len(lesson.train) / max(1, lesson.longest)
        return self.seconds * min(1.0, mean) * spec.accumulate * steps


class Rehearsal:
    """One run's; see the module."""

    def __init__(self, spec: TrainSpec, student: Student, objective: Objective, model: str) -> None:
        """`model`: id of the base, for the log of estimates."""
        self._spec, self._student, self._objective, self._model = spec, student, objective, model
        self._layers = decoder_layers(student.network)

    def hold(self, lesson: Lesson) -> Rehearsed:
        """Rehearse, with as many layers computed again as it takes.

        Raises EngineError `run_too_large` with three changes, and what the objective raises.
        """
        device = self._student.device
        shape = self._shape(lesson)
        facts = pool(device, shape.base)
        reserve, taught = rules(facts)
        room = (facts.free - reserve) / taught.factor
        count = recompute(self._student.network, recomputed_layers(shape, self._spec, room))
        if need(shape, self._spec, count) > facts.free / taught.factor:
            raise self._refused(shape, count, facts.free, taught.factor)
        found = self._tried(lesson)
        if found is None and self._spec.checkpointing == "auto" and count < len(self._layers):
            count = recompute(self._student.network, len(self._layers))
            found = self._tried(lesson)
        if found is None:
            raise self._refused(shape, count, facts.free, taught.factor)
        seconds, measured = found
        predicted = self._foretold(shape, count)
        try:
            remember(facts, self._model, self._spec.method, predicted, measured)
        except OSError as error:  # a full disk is no reason to end a run
            log.warning("a measurement was not kept: %s", error)
        return Rehearsed(len(self._layers), count, predicted, measured, seconds)

    def _shape(self, lesson: Lesson) -> Shape:
        network = self._student.network
        weights = self._student.weights().values()
        held = sum(tensor.nbytes for tensor in {id(p): p for p in network.parameters()}.values())
        width = next(network.parameters()).dtype.itemsize
        return shape_of(
            network.config,  # type: ignore[arg-type]
            width,
            adapter=sum(weight.numel() for weight in weights),
            base=held,
            shared=held,  # all of it lies there by now
            longest=max(example.longest for example in lesson.train),
            longest_eval=max((example.longest for example in lesson.held), default=0),
            labelled=min(1.0, lesson.labelled / max(1, lesson.tokens)),
        )

    def _foretold(self, shape: Shape, count: int) -> int:
        """Of the same parts as are measured; base and adapter lie there before."""
        sizes = parts(shape, self._spec, count)
        return sum(sizes[name] for name in ("optimiser", "activations", "head and loss", "overhead"))

    def _refused(self, shape: Shape, count: int, free: int, factor: float) -> EngineError:
        most = need(shape, self._spec, count) * factor
        tested = evaluation(shape, self._spec) * factor >= most
        when = "an evaluation" if tested else "a step"
        title = f"The run does not fit: {when} on its longest rows takes about {gib(round(most))}"
        return too_large(title, f"{gib(free)} are free", shape, self._spec, free / factor)

    def _tried(self, lesson: Lesson) -> tuple[float, int] | None:
        """(seconds of a micro-batch, bytes at the highest); None when memory ran out."""
        try:
            with _guarded(self._layers, self._student.device), _generators_kept(self._student.device):
                return self._step(lesson)
        except (RuntimeError, MemoryError, OSError) as error:
            if not is_out_of_memory(error):
                raise
        finally:
            self._forget()
        give_back_memory()
        return None

    def _step(self, lesson: Lesson) -> tuple[float, int]:
        student, spec = self._student, self._spec
        watch = _Watch(student.device)
        try:
            longest = next(in_order(lesson.train, spec.batch))
            began = time.monotonic()
            student.learn()
            student.at(0, 0)
            summed, _ = self._objective.summed(student, longest)
            watch.look()
            (summed / max(1, self._objective.weight(longest))).backward()
            seconds = time.monotonic() - began
            del summed
            # What the optimiser will hold, filled: memory that nobody wrote to is not there yet.
            moments = [torch.ones_like(weight) for weight in student.weights().values() for _ in range(2)]
            watch.look()
            del moments
            self._forget()
            self._tested(lesson, longest)
            return seconds, watch.end()
        finally:
            watch.end()

    @torch.no_grad()
    def _tested(self, lesson: Lesson, longest: Sequence[Example]) -> None:
        """The longest batch of an evaluation, where it has more in it than the step that just fitted."""
        if not lesson.held:
            return
        batch = next(in_order(lesson.held, self._spec.batch))
        if len(batch) * batch[0].longest > len(longest) * longest[0].longest:
            self._student.answer()
            self._objective.summed(self._student, batch)

    def _forget(self) -> None:
        for weight in self._student.weights().values():
            weight.grad = None


class _Watch:
    """Bytes at the highest since it began, beside what was there."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self._before = torch.cuda.memory_allocated(device)
            return
        self._process = PeakWatch()
        self._before = self._process.overall

    def look(self) -> None:
        if self._device.type != "cuda":
            self._process.look()

    def end(self) -> int:
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) - self._before
        self._process.look()
        self._process.stop()
        return max(0, self._process.overall - self._before)


@contextmanager
def _guarded(layers: Sequence[torch.nn.Module], device: torch.device) -> Iterator[None]:
    """On a CPU a layer that begins without memory raises MemoryError; a GPU's allocator raises by itself."""

    def look(*_: Any) -> None:
        if available_ram() < FLOOR:
            raise MemoryError("not enough memory for the next layer")

    hooks = [layer.register_forward_pre_hook(look) for layer in layers] if device.type == "cpu" else []
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _generators_kept(device: torch.device) -> Any:
    """No number is drawn from the generators that chats and the run draw from."""
    if device.type in ("cpu", "cuda"):
        return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
    return nullcontext()
