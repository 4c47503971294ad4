"""Commands for the endpoint through which other programs use the models: off until it is started."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from engine.protocol.command import Command

PORT = 8123
"""Taken where none is asked for."""


class ServingInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """The endpoint as it stands; its token is never part of it."""

    address: str
    """Up to and with its `/v1`."""
    port: int
    model: str
    """Id of the model that answers requests which name none."""
    started: float = 0.0
    """Unix time in seconds."""
    requests: int = 0
    """Answered since then, refused ones left out."""
    active: int = 0
    """Waiting or being answered now."""
    token: Literal["stored", "given"] = "stored"
    token_file: str = ""
    """Where a stored token lies; only its owner can read it."""
    origins: tuple[str, ...] = ()
    """Web pages that may ask."""


class ServingState(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether there is an endpoint."""

    serving: ServingInfo | None = None


class StartServing(Command, frozen=True, tag=True):
    """Answer OpenAI-compatible requests on 127.0.0.1. One that runs already as asked is answered as it is."""

    Result: ClassVar[type] = ServingInfo
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = PORT
    """0: any that is free."""
    model: str = ""
    """Id, name or folder; empty: the model of the newest chat."""
    token: str = ""
    """At least 16 characters; empty: the stored one, made when there is none."""
    origins: tuple[str, ...] = ()
    """Origins of web pages that may ask, such as `http://localhost:3000`."""

    def __repr__(self) -> str:
        """Without the token."""
        return f"StartServing({self.port}, {self.model!r})"


class StopServing(Command, frozen=True, tag=True):
    """Close the endpoint; requests under way end with what they have."""

    Result: ClassVar[type] = ServingState


class ShowServing(Command, frozen=True, tag=True):
    """Whether there is an endpoint, and where."""

    Result: ClassVar[type] = ServingState
