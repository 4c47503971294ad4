"""What can go wrong, in words a person can act on.

EngineError      this request failed; the engine is fine
EngineLost       the link broke; the engine may well be alive
└── EngineDead   the engine's process is gone
"""

from __future__ import annotations

import msgspec


class ErrorInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """One fault: what happened (title), why (detail), what to do next (remedy)."""

    code: str
    """Stable name for scripts, in snake_case, e.g. `model_not_found`."""
    title: str
    """One plain sentence: what happened."""
    detail: str = ""
    """Why, as far as it is known."""
    remedy: str = ""
    """What the person can do next."""
    retryable: bool = False
    """True when the same request may succeed later without a change."""

    def sentence(self) -> str:
        """All of it on one line, as the CLI prints it."""
        parts = [self.title.rstrip("."), self.detail.rstrip("."), self.remedy.rstrip(".")]
        return ". ".join(part for part in parts if part) + "."


class QwillError(Exception):
    """Base of every error that carries an ErrorInfo."""

    def __init__(self, info: ErrorInfo) -> None:
        super().__init__(info.sentence())
        self.info = info


class EngineError(QwillError):
    """The engine refused or failed this request; others go on."""


class EngineLost(QwillError):
    """The link to the engine broke."""


class EngineDead(EngineLost):
    """The engine's process is gone."""


def fault(
    code: str, title: str, detail: str = "", remedy: str = "", *, retryable: bool = False
) -> EngineError:
    """An EngineError ready to raise."""
    return EngineError(ErrorInfo(code, title, detail, remedy, retryable))
