"""What a request may hold, as OpenAI's API names it. Fields that change nothing here are read past."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import msgspec

from engine.serving.faults import Refused

T = TypeVar("T", bound="Sampled")
_Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
_Count = Annotated[int, msgspec.Meta(ge=1, le=1 << 31)]


class ImageUrl(msgspec.Struct):
    url: str


class ContentPart(msgspec.Struct):
    """`text` (or `input_text`) and `image_url`."""

    type: str
    text: str = ""
    image_url: ImageUrl | str | None = None


class Said(msgspec.Struct):
    """One message."""

    role: str
    content: str | list[ContentPart] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[Any] | None = None


class StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class Sampled(msgspec.Struct, kw_only=True):
    """What both kinds of request have."""

    model: str = ""
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0.0, le=100.0)] | None = None
    top_p: _Share | None = None
    top_k: Annotated[int, msgspec.Meta(ge=-1, le=1 << 31)] | None = None
    min_p: _Share | None = None
    repetition_penalty: Annotated[float, msgspec.Meta(gt=0.0, le=100.0)] | None = None
    seed: int | None = None
    max_tokens: _Count | None = None
    stop: str | list[str] | None = None
    n: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, Any] | None = None


class ChatBody(Sampled, kw_only=True):
    """POST /v1/chat/completions."""

    messages: list[Said]
    max_completion_tokens: _Count | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    reasoning_effort: str | None = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None
    response_format: dict[str, Any] | None = None
    logprobs: bool | None = None


class CompletionBody(Sampled, kw_only=True):
    """POST /v1/completions."""

    prompt: str | list[str]
    echo: bool | None = None
    suffix: str | None = None
    logprobs: int | None = None


def read(data: bytes, kind: type[T]) -> T:
    """A request's body. Raises Refused with the place of the fault."""
    try:
        body = msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at ")
        param = place.strip("`").removeprefix("$").removeprefix(".") or None
        where = f" in `{param}`" if param else ""
        raise Refused(
            400, "invalid_value", f"The request is not valid{where}: {message}.", param=param
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(400, "invalid_json", f"The body is not valid JSON: {error}.") from error
    _refuse_unknown_ways(body)
    return body


def _refuse_unknown_ways(body: Sampled) -> None:
    """What would change the answer and cannot be done is refused, never ignored."""
    if body.n not in (None, 1):
        raise Refused(
            400, "unsupported_value", "Only one answer a request can be had; leave `n` out.", param="n"
        )
    for name in ("presence_penalty", "frequency_penalty", "logit_bias"):
        if getattr(body, name):
            words = f"`{name}` is not supported; use `repetition_penalty`, or leave it out."
            raise Refused(400, "unsupported_parameter", words, param=name)
    if isinstance(body, ChatBody):
        _refuse_of_chat(body)
    elif isinstance(body, CompletionBody) and (body.echo or body.suffix or body.logprobs is not None):
        words = "`echo`, `suffix` and `logprobs` are not supported; leave them out."
        raise Refused(400, "unsupported_parameter", words)


def _refuse_of_chat(body: ChatBody) -> None:
    if body.tools or body.functions:
        words = "Tools are not supported: Qwill runs none; send the request without `tools`."
        raise Refused(400, "tools_unsupported", words, param="tools")
    if body.logprobs:
        raise Refused(
            400, "unsupported_parameter", "`logprobs` is not supported; leave it out.", param="logprobs"
        )
    wanted = (body.response_format or {}).get("type", "text")
    if wanted != "text":
        words = "Only `text` can be had as `response_format`; ask for JSON in the prompt instead."
        raise Refused(400, "unsupported_value", words, param="response_format")
