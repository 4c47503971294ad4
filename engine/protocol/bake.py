"""What a client can ask for to turn a system prompt into rows for training."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from engine.protocol.command import Command, Done


class Baked(msgspec.Struct, frozen=True, omit_defaults=True):
    """A dataset of replies under a system prompt, the prompt left out."""

    job: str
    model: str
    path: str
    """Of the dataset; a run on it teaches the behaviour without the prompt."""
    name: str
    rows: int
    left_out: int = 0
    """Replies that were empty, failed, or were cut off by their limit: those would teach to break off."""


class StartBake(Command, frozen=True, tag=True):
    """Answer questions under a system prompt and keep them as a dataset; answers when it is written.

    The questions are the first messages of one's own chats, then shipped general ones. BakeMoved tells how
    far it is. A client that leaves stops it.
    """

    Result: ClassVar[type] = Baked
    chat: str = ""
    """Whose system prompt, model and adapters are taken, where `system` and `model` are empty."""
    system: str = ""
    model: str = ""
    count: int = 40
    name: str = ""
    tokens: int = 384
    """New tokens of a reply at most."""
    job: str = ""
    """Names it in events and for StopBake; empty draws one."""
    evict: bool = False


class StopBake(Command, frozen=True, tag=True):
    """End it; nothing is written, and its command fails with `cancelled`."""

    Result: ClassVar[type] = Done
    job: str
