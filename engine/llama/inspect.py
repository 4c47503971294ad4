"""What a GGUF model thought likely at each token of a reply, asked one token after another."""

from __future__ import annotations

import math
import threading
from typing import Any

from engine.backend import InspectSpec
from engine.chat.thinking import ThinkParser
from engine.llama.prompt import Prompt
from engine.llama.vocabulary import LlamaVocabulary
from engine.llama.wire import Wire
from engine.protocol.errors import fault
from engine.protocol.inspect import Alternative, Inspection, TokenFact
from engine.protocol.specs import Part

PAGE = 256
"""Tokens in one answer at most; each costs one step of the model."""
TOP = 20
"""Alternatives of one token at most."""
SEEN = 64
"""Likeliest tokens that are asked for at first, so that the reply's own is nearly always among them."""
ALL = 1 << 20
"""Asks for every token of a vocabulary."""


def inspect(
    wire: Wire, vocabulary: LlamaVocabulary, prompt: Prompt, spec: InspectSpec, cancelled: threading.Event
) -> Inspection:
    """The stretch that was asked for. Raises EngineError `cancelled`, `llama_lost`.

    The entropy counts what lies beyond the SEEN likeliest as one, so it is a little too low.
    """
    reply = prompt.begun
    start = max(0, spec.start)
    end = min(len(reply), start + min(max(0, spec.limit), PAGE))
    parser = vocabulary.parser(prompt.thinking)
    facts: list[TokenFact] = []
    waiting: list[int] = []
    for place, token in enumerate(reply[:end]):
        waiting.append(token)
        text = vocabulary.text(waiting)
        half = text.endswith("\ufffd")
        waiting = waiting if half else []
        part = _part(parser, token, "" if half else text)
        if place < start:
            continue
        rows = _likely(wire, [*prompt.ids, *reply[:place]], SEEN, cancelled)
        if all(row["id"] != token for row in rows):
            rows = _likely(wire, [*prompt.ids, *reply[:place]], ALL, cancelled)
        facts.append(_fact(token, "" if half else text, part, rows, max(0, min(spec.top, TOP))))
    return Inspection(tuple(facts), len(reply))


def _likely(wire: Wire, ids: list[int], count: int, cancelled: threading.Event) -> list[dict[str, Any]]:
    """The likeliest next tokens, best first, each with `id`, `token` and `logprob`."""
    body = {
        "prompt": ids,
        "n_predict": 1,
        "n_probs": count,
        "temperature": 0.0,
        "samplers": ["temperature"],
        "cache_prompt": True,
        "id_slot": 0,
    }
    answer = wire.ask("/completion", body, lambda: not cancelled.is_set())
    tokens = answer.get("completion_probabilities") if isinstance(answer, dict) else None
    if not tokens:
        raise fault("no_inspection", "llama.cpp gave no probabilities for this reply")
    return list(tokens[0]["top_logprobs"])


def _part(parser: ThinkParser, token: int, text: str) -> Part:
    """A tag belongs to the thinking that it opens or closes."""
    before = parser.part
    parser.feed(token, text)
    return "thinking" if "thinking" in (before, parser.part) else "answer"


def _fact(token: int, text: str, part: Part, rows: list[dict[str, Any]], top: int) -> TokenFact:
    shares = [math.exp(row["logprob"]) for row in rows]
    own = next((share for row, share in zip(rows, shares, strict=True) if row["id"] == token), 0.0)
    rest = max(0.0, 1.0 - sum(shares))
    entropy = -sum(share * math.log2(share) for share in [*shares, rest] if share > 0)
    likeliest = zip(rows[:top], shares, strict=False)
    alternatives = tuple(Alternative(row["id"], str(row["token"]), share) for row, share in likeliest)
    return TokenFact(token, text, part, min(1.0, own), max(0.0, entropy), alternatives)
