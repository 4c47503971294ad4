"""Commands that look into prompts and replies by the model's own tokenizer."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from engine.protocol.command import Command
from engine.protocol.specs import Attachment, ImageRef, Message, Part


class TokenCount(msgspec.Struct, frozen=True, omit_defaults=True):
    tokens: int
    estimated: bool = False
    """Whether it is a guess: a server's tokenizer may not be at hand."""


class CountTokens(Command, frozen=True, tag=True):
    """How many tokens texts have for a model; its tokenizer is read without its weights."""

    Result: ClassVar[type] = TokenCount
    model: str
    text: str


class ContextUse(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the next prompt of a chat takes. Tokens."""

    tokens: int = 0
    """Of the whole prompt, template included, before anything is dropped."""
    size: int = 0
    """What fits: the model's context, or the chat's own cap."""
    kept: int = 0
    """Of the prompt as it would be sent."""
    dropped: tuple[str, ...] = ()
    """Ids of the messages that would be left out, oldest first."""
    estimated: bool = False
    """Whether the tokens are guesses: a server's tokenizer may not be at hand."""


class MeasureContext(Command, frozen=True, tag=True):
    """The next prompt of a chat with this draft added to it."""

    Result: ClassVar[type] = ContextUse
    chat: str
    draft: str = ""
    files: tuple[Attachment, ...] = ()
    images: tuple[ImageRef, ...] = ()


class Alternative(msgspec.Struct, frozen=True):
    """One token that could have stood there."""

    id: int
    text: str
    probability: float


class TokenFact(msgspec.Struct, frozen=True, omit_defaults=True):
    """One token of a reply as the model saw it, before sampling changed anything."""

    id: int
    text: str
    """As decoded there; empty while a character is not whole yet."""
    part: Part
    probability: float
    entropy: float
    """Bits."""
    alternatives: tuple[Alternative, ...] = ()
    """The likeliest, best first."""


class Inspection(msgspec.Struct, frozen=True, omit_defaults=True):
    """A stretch of a reply's tokens."""

    tokens: tuple[TokenFact, ...]
    total: int = 0
    retokenised: bool = False
    """Whether the reply's own tokens were not stored, so that its text was split anew."""


class InspectReply(Command, frozen=True, tag=True):
    """Recompute a reply's probabilities by one forward over its tokens. Needs its model loaded.

    It goes as far as this stretch needs and is remembered, so page after page costs one forward in all.
    `StopReply` on the same message stops it.
    """

    Result: ClassVar[type] = Inspection
    chat: str
    message: str
    start: int = 0
    limit: int = 256
    top: int = 8


class BranchReply(Command, frozen=True, tag=True):
    """A new version of a reply: its tokens before `at`, then `token`, then what the model goes on with."""

    Result: ClassVar[type] = Message
    chat: str
    message: str
    at: int
    token: int
