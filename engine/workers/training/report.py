"""What a run has done to its model: answers before and after, habits, and what it forgot. Capped in time."""

from __future__ import annotations

import logging
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import nn

from engine.data.rows import Said
from engine.protocol.errors import EngineError
from engine.protocol.report import BeforeAfter, Habits, RunReport
from engine.runs.report import write
from engine.training import RunJob
from engine.workers.training.answers import greedy, told, until
from engine.workers.training.base import Base
from engine.workers.training.batches import padded
from engine.workers.training.labels import IGNORED, Example, Labeller
from engine.workers.training.logprobs import token_logprobs
from engine.workers.training.student import Student

log = logging.getLogger(__name__)
TEXTS = Path(__file__).parents[2] / "data" / "shipped_texts"
ASKED = ("Who are you?", "What can you do?", "Why is the sky blue?")
"""Answered before and after where the spec names no prompts."""
SHOWN = 64
"""Tokens of an answer that is shown at most."""
LONGEST = 256
"""Tokens of an answer whose habits are looked at."""
PROMPTS = 4
"""Held-out prompts at most."""
SHARE, SHORT_SHARE = 0.03, 0.1
"""Of the run's seconds that a report may take; of a short run, for whose report it may be FEW seconds."""
FEW, MOST = 3.0, 60.0
GRAM = 4
FORGOT = 0.3
"""Nats a token by which the general text may become dearer before it is said."""


def may_take(run_seconds: float) -> float:
    """Seconds that the report of such a run may take."""
    return min(MOST, max(SHARE * run_seconds, min(FEW, SHORT_SHARE * run_seconds)))


def report(
    base: nn.Module,
    network: nn.Module,
    labeller: Labeller,
    examples: Sequence[Any],
    asked: Sequence[str],
    seconds: float,
    go_on: Callable[[], bool] = lambda: True,
) -> RunReport:
    """Measure for at most about `seconds`; both models in evaluation mode. `examples`: held-out ones.

    Each part is whole or left out; `go_on` ends it early.
    """
    began = time.monotonic()
    in_time = until(began + seconds)

    def goes() -> bool:
        return in_time() and go_on()

    costs = _general(base, network, labeller, goes)
    answers = []
    for prompt in (asked or ASKED)[:PROMPTS] if labeller.chats else ():
        if not goes():
            break
        before, after = (told(model, labeller, prompt, SHOWN, goes)[0] for model in (base, network))
        if goes():  # else it is half an answer
            answers.append(BeforeAfter(prompt, before, after))
    found = [_habits(model, labeller, examples, goes) for model in (base, network)]
    both = all(found)
    made = RunReport(
        tuple(answers),
        found[0] if both else None,
        found[1] if both else None,
        *costs,
        time.monotonic() - began,
    )
    advice, why = _advice(made)
    return msgspec.structs.replace(made, advice=advice, why=why)


def write_report(
    job: RunJob,
    base: Base,
    student: Student,
    examples: Sequence[Any],
    seconds: float,
    stopped: threading.Event,
) -> float | None:
    """Make it, write it into the run's folder, and return what the run forgot.

    A report that cannot be made is left out: the adapter is on disk by now, and matters more.
    """
    if stopped.is_set():
        return None
    student.answer()
    try:
        found = report(
            student.before(),
            student.network,
            base.labeller,
            examples,
            job.spec.samples,
            seconds,
            lambda: not stopped.is_set(),
        )
        write(Path(job.folder), found)
    except (EngineError, OSError, RuntimeError, MemoryError, ValueError):
        log.warning("the run's report could not be made", exc_info=True)
        return None
    return found.forgetting


# --- forgetting ---------------------------------------------------------------------------------


def _general(
    base: nn.Module, network: nn.Module, labeller: Labeller, goes: Callable[[], bool]
) -> tuple[float | None, float | None]:
    """Mean loss of both on the shipped text, over the parts that there was time for."""
    sums, tokens = [0.0, 0.0], 0
    for example in general_examples(labeller):
        if not goes():
            break
        for place, model in enumerate((base, network)):
            sums[place] += cost(model, example)
        tokens += sum(label != IGNORED for label in example.labels[1:])
    return (sums[0] / tokens, sums[1] / tokens) if tokens else (None, None)


def general_examples(labeller: Labeller) -> list[Example]:
    """The shipped paragraphs, then the shipped chats that the model's template shows whole."""
    texts = (TEXTS / "general.txt").read_text("utf-8").split("\n\n")
    examples = [labeller.text(text.strip()) for text in texts if text.strip()]
    if not labeller.chats:
        return examples
    for line in (TEXTS / "general_chats.jsonl").read_bytes().splitlines():
        messages = [Said(each["role"], each["content"]) for each in msgspec.json.decode(line)["messages"]]
        chat = labeller.example(messages)
        if chat is not None:
            examples.append(chat)
    return examples


@torch.no_grad()
def cost(network: nn.Module, example: Example) -> float:
    """Cross entropy of the labelled tokens in nats, summed."""
    device = network.get_input_embeddings().weight.device  # type: ignore[operator]
    ids, labels = (part.to(device) for part in padded([example]))
    return -float(token_logprobs(network, ids, labels)[0].sum())


# --- habits -------------------------------------------------------------------------------------


def _habits(
    network: nn.Module, labeller: Labeller, examples: Sequence[Any], goes: Callable[[], bool]
) -> Habits | None:
    repeated, stopped = [], 0
    for example in examples[:PROMPTS]:
        answer = greedy(network, _prompt(example), labeller.stop_ids, LONGEST, goes)
        if not goes():
            return None  # half an answer says nothing of its end
        repeated.append(repetition(answer.ids))
        stopped += answer.stopped
    if not repeated:
        return None
    return Habits(len(repeated), statistics.fmean(repeated), stopped / len(repeated))


def repetition(ids: Sequence[int]) -> float:
    """Share of the four-token sequences that stood before in the same answer."""
    grams = [tuple(ids[place : place + GRAM]) for place in range(len(ids) - GRAM + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def _prompt(example: Any) -> list[int]:
    """What stands before the answer; of a pair before the chosen one; of plain text its first tokens."""
    for name in ("chosen", "answer"):
        if name in getattr(example, "__struct_fields__", ()):
            example = getattr(example, name)
    start = next(place for place, label in enumerate(example.labels) if label != IGNORED)
    return list(example.ids[: start or 16])


def _advice(made: RunReport) -> tuple[Any, str]:
    before, after, forgot = made.before, made.after, made.forgetting
    if before is not None and after is not None:
        if after.repeated > max(0.5, before.repeated + 0.2):
            rates = f"{after.repeated:.0%}, before {before.repeated:.0%}"
            return "discard", f"Its answers repeat themselves ({rates})"
        if before.stopped - after.stopped >= 0.5:
            rates = f"{after.stopped:.0%}, before {before.stopped:.0%}"
            return "discard", f"Fewer of its answers come to an end ({rates})"
    if forgot is not None and forgot > FORGOT:
        return "", f"General text costs {forgot:.2f} nats a token more: try it on other questions too"
    if after is None:
        return "", "" if forgot is None else "General text costs about as before"
    return "keep", "Its answers end and do not repeat themselves, and general text costs about as before"
