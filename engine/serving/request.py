"""From a request's body to what a reply is generated from."""

from __future__ import annotations

import base64
import binascii
from typing import NamedTuple, TypeVar

from engine.backend import Turn
from engine.protocol.specs import ChatSettings, ImageRef, Role, Sampling
from engine.serving.bodies import ChatBody, CompletionBody, ContentPart, Said, Sampled
from engine.serving.faults import Refused
from engine.serving.images import keep

STOPS = 16
"""Stop strings of one request at most."""
STOP_LENGTH = 1000
TEXT = 4_000_000
"""Characters of all messages together at most; no context holds as many."""
IMAGES = 8
MESSAGES = 10_000
_SEED_BITS = (1 << 63) - 1
_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}
_EFFORTS: dict[str, tuple[bool, int | None]] = {
    "none": (False, None),
    "minimal": (False, None),
    "low": (True, 512),
    "medium": (True, 2048),
    "high": (True, None),
    "xhigh": (True, None),
    "max": (True, None),
}
"""`reasoning_effort`: whether it thinks, and for how many tokens at most."""
T = TypeVar("T")


class Asked(NamedTuple):
    """One request, read and checked."""

    model: str
    """As the request names it; may be empty."""
    turns: tuple[Turn, ...]
    settings: ChatSettings
    stops: tuple[str, ...]
    stream: bool
    usage: bool
    """Whether the stream ends with a chunk that counts tokens."""
    bare: bool = False
    """A text to be continued, not a chat."""


async def chat_of(body: ChatBody) -> Asked:
    """Raises Refused, and EngineError `image_refused`."""
    if not body.messages or len(body.messages) > MESSAGES:
        words = f"`messages` needs between 1 and {MESSAGES:,} messages."
        raise Refused(400, "invalid_value", words, param="messages")
    turns = tuple([await _turn(said, place) for place, said in enumerate(body.messages)])
    _bounded(turns)
    if turns[-1].role == "assistant":
        words = "The last message must be the user's: an answer cannot be continued here."
        raise Refused(400, "invalid_value", words, param="messages")
    think, budget = _thinking(body)
    most = body.max_completion_tokens or body.max_tokens
    settings = ChatSettings(think=think, think_budget=budget, sampling=_sampling(body, most), overflow="stop")
    return _asked(body, turns, settings)


def completion_of(body: CompletionBody) -> Asked:
    """Raises Refused."""
    prompts = [body.prompt] if isinstance(body.prompt, str) else body.prompt
    if len(prompts) != 1:
        raise Refused(400, "unsupported_value", "Only one prompt a request can be had.", param="prompt")
    turns = (Turn("user", prompts[0]),)
    _bounded(turns)
    settings = ChatSettings(sampling=_sampling(body, body.max_tokens), overflow="stop")
    return _asked(body, turns, settings)._replace(bare=True)


def _asked(body: Sampled, turns: tuple[Turn, ...], settings: ChatSettings) -> Asked:
    stops = [body.stop] if isinstance(body.stop, str) else body.stop or []
    if len(stops) > STOPS or any(len(stop) > STOP_LENGTH for stop in stops):
        words = f"`stop` holds {STOPS} strings at most, each of {STOP_LENGTH:,} characters at most."
        raise Refused(400, "invalid_value", words, param="stop")
    usage = bool(body.stream_options and body.stream_options.include_usage)
    return Asked(body.model, turns, settings, tuple(stops), bool(body.stream), usage)


def _sampling(body: Sampled, most: int | None) -> Sampling:
    return Sampling(
        temperature=body.temperature,
        top_k=None if body.top_k is None else max(0, body.top_k),
        top_p=body.top_p,
        min_p=body.min_p,
        repetition_penalty=body.repetition_penalty,
        seed=None if body.seed is None else body.seed & _SEED_BITS,
        max_tokens=most,
    )


def _thinking(body: ChatBody) -> tuple[bool, int | None]:
    """Whether it thinks, and for how many tokens at most; the template's own switch counts most."""
    think, budget = True, None
    if body.reasoning_effort is not None:
        if body.reasoning_effort not in _EFFORTS:
            words = f"`reasoning_effort` is one of {', '.join(_EFFORTS)}."
            raise Refused(400, "invalid_value", words, param="reasoning_effort")
        think, budget = _EFFORTS[body.reasoning_effort]
    options = body.chat_template_kwargs or {}
    think = _option(options, "enable_thinking", bool, _option(options, "thinking", bool, think))
    return think, _option(options, "thinking_budget", int, budget)


def _option(options: dict[str, object], name: str, kind: type, otherwise: T) -> T:
    value = options.get(name)
    if value is None:
        return otherwise
    if type(value) is not kind or (kind is int and not 0 <= int(str(value)) < 1 << 31):
        param = f"chat_template_kwargs.{name}"
        raise Refused(400, "invalid_value", f"`{param}` has the wrong type.", param=param)
    return value  # type: ignore[return-value]


async def _turn(said: Said, place: int) -> Turn:
    param = f"messages[{place}]"
    if said.role in ("tool", "function") or said.tool_calls:
        words = "Tools are not supported: leave tool calls and their results out of the messages."
        raise Refused(400, "tools_unsupported", words, param=param)
    role = _ROLES.get(said.role)
    if role is None:
        words = f"`{param}.role` is one of {', '.join(_ROLES)}."
        raise Refused(400, "invalid_value", words, param=f"{param}.role")
    parts = [ContentPart("text", said.content)] if isinstance(said.content, str) else said.content or []
    texts = [part.text for part in parts if part.type in ("text", "input_text")]
    images = [part for part in parts if part.type == "image_url"]
    if len(texts) + len(images) < len(parts):
        words = "A part of a message is `text` or `image_url`."
        raise Refused(400, "unsupported_value", words, param=f"{param}.content")
    if images and role != "user" or len(images) > IMAGES:
        words = f"Images go with a user's message, {IMAGES} at most."
        raise Refused(400, "invalid_value", words, param=f"{param}.content")
    thinking = said.reasoning_content or said.reasoning or ""
    seen = tuple([await _image(part, param, number) for number, part in enumerate(images, 1)])
    return Turn(role, "\n".join(texts), thinking, seen)


async def _image(part: ContentPart, param: str, number: int) -> ImageRef:
    url = part.image_url if isinstance(part.image_url, str) else part.image_url and part.image_url.url
    head, comma, data = (url or "").partition(",")
    if not (comma and head.startswith("data:image/") and head.endswith(";base64")):
        words = "An image comes as a `data:image/...;base64,` URL; nothing is fetched from elsewhere."
        raise Refused(400, "invalid_image_url", words, param=f"{param}.content")
    try:
        raw = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused(400, "invalid_image_url", "An image's base64 is broken.", param=param) from error
    return await keep(f"image {number}", raw)


def _bounded(turns: tuple[Turn, ...]) -> None:
    if sum(len(turn.text) + len(turn.thinking) for turn in turns) > TEXT:
        raise Refused(400, "context_length_exceeded", f"The messages have more than {TEXT:,} characters.")
