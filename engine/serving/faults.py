"""Faults as OpenAI's clients read them: a status, and an object with our sentence in it."""

from __future__ import annotations

from typing import Any

from engine.protocol.errors import ErrorInfo

STATUS = {
    "model_not_found": 404,
    "would_evict": 409,
    "model_in_use": 409,
    "prompt_too_long": 400,
    "context_full": 400,
    "template_failed": 400,
    "no_vision": 400,
    "image_refused": 400,
    "adapter_broken": 400,
    "adapter_other_base": 400,
    "adapter_unusable": 400,
    "model_unsupported": 400,
    "model_too_large": 503,
    "no_room_to_grow": 503,
    "out_of_memory": 503,
    "serving_ended": 503,
}
"""Of faults of the engine; others are 500."""
KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
TOO_LONG = "context_length_exceeded"
"""The code that clients know for a prompt that does not fit."""


class Refused(Exception):
    """A request that is answered with a fault before anything is generated."""

    def __init__(self, status: int, code: str, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param


def shape(status: int, code: str, message: str, param: str | None = None) -> dict[str, Any]:
    """The body of an answer."""
    kind = KINDS.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def told(info: ErrorInfo) -> tuple[int, dict[str, Any]]:
    """Status and body for a fault of the engine."""
    status = STATUS.get(info.code, 500)
    if info.code == "context_full":
        words = (
            f"{info.title.rstrip('.')}. Leave out older messages, or choose a model with a longer context."
        )
        return status, shape(status, TOO_LONG, words)
    code = TOO_LONG if info.code == "prompt_too_long" else info.code
    return status, shape(status, code, info.sentence())
