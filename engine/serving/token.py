"""The secret that every request shows: made once, kept in a file that only its owner can read."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import stat
from pathlib import Path

from engine import paths
from engine.protocol.errors import EngineError, fault

LEAST = 16
"""Characters of a token: every program on this machine can try some."""
LIMIT = 4096
_FINE = re.compile(r"[\x21-\x7e]+")


def token_path() -> Path:
    """Where the stored token lies."""
    return paths.state_dir() / "serve.token"


def stored_token() -> str:
    """The stored token, made where there is none, or where others could have read it.

    Raises EngineError `token_unkept`.
    """
    path = token_path()
    try:
        found = _read(path)
        if found is not None:
            return found
        path.unlink(missing_ok=True)
        made = secrets.token_urlsafe(32)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(f"{made}\n")
        return made
    except OSError as error:
        raise fault(
            "token_unkept",
            f"The token of the endpoint cannot be kept in {path}",
            error.strerror or str(error),
            "Make the folder writable, or give a token with --token-file",
        ) from error


def checked(token: str) -> str:
    """A token that a person chose. Raises EngineError `usage` where it is easy to guess, or cannot travel."""
    if len(token) < LEAST or len(token) > LIMIT or not _FINE.fullmatch(token):
        raise fault(
            "usage",
            f"The token must have {LEAST} characters or more, without spaces",
            remedy="Leave it out, and one is made and kept for you",
        )
    return token


class Guard:
    """Knows a token by its hash alone, and compares in constant time."""

    def __init__(self, token: str) -> None:
        self._hash = _hash(token)

    def same(self, token: str) -> bool:
        """Whether this is the token."""
        return hmac.compare_digest(self._hash, _hash(token))

    def lets_in(self, header: str) -> bool:
        """Whether an Authorization header shows the token."""
        scheme, _, shown = header.partition(" ")
        return scheme.lower() == "bearer" and self.same(shown.strip())


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _read(path: Path) -> str | None:
    """A stored token that is good, and that nobody else could read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except (FileNotFoundError, IsADirectoryError):
        return None
    except OSError:  # a link, say
        return None
    with open(descriptor, encoding="utf-8", errors="replace") as file:
        private = not stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077
        token = file.read(LIMIT + 1).strip()
    try:
        return checked(token) if private else None
    except EngineError:
        return None
