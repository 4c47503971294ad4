"""Splits what a server streams into JSON objects: server-sent events, or one object a line."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.protocol.errors import fault

LIMIT = 4 << 20
"""Bytes of one line at most."""
HELD = 32
"""Lines that one object may be spread over."""
DONE = "[DONE]"


class Events:
    """Feeds on bytes as they come, cut anywhere; gives whole objects.

    Understands CR, LF and CRLF, comments and keep-alives, `data:` with and without a space, objects over
    several `data:` lines, and lines that are an object without `data:`. Invalid UTF-8 becomes U+FFFD.
    Source: WHATWG HTML, "Server-sent events", 9.2.6.
    """

    def __init__(self) -> None:
        self._rest = bytearray()
        self._held: list[str] = []
        self.done = False
        """Whether the server said that nothing follows."""
        self.foreign = 0
        """Lines that are neither JSON nor part of the format: a page of HTML, say."""

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """The objects that these bytes completed. Raises EngineError `server_babble`."""
        self._rest += data
        if b"\n" not in data and b"\r" not in data:
            self._bound()
            return []
        lines = self._rest.splitlines(keepends=True)
        # A line is whole once its end is there; behind a CR a LF may still follow.
        rest = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        self._rest = bytearray(rest)
        self._bound()
        found: list[dict[str, Any]] = []
        for line in lines:
            found += self._line(line.rstrip(b"\r\n").decode("utf-8", "replace"))
        return found

    def end(self) -> list[dict[str, Any]]:
        """What a last line without its end holds."""
        rest, self._rest = bytes(self._rest), bytearray()
        return self._line(rest.rstrip(b"\r").decode("utf-8", "replace")) + self._line("")

    def _bound(self) -> None:
        if len(self._rest) > LIMIT:
            raise fault(
                "server_babble",
                "The server sent a line without end",
                f"It is over {LIMIT >> 20} MiB long",
                "Check that the address is that of a model server",
            )

    def _line(self, line: str) -> list[dict[str, Any]]:
        if not line.strip():
            self._drop()
            return []
        if line.startswith("data:"):
            return self._data(line[5:].strip())
        if line.startswith("{"):
            return self._data(line)
        if line.startswith(":") or line.split(":", 1)[0] in ("event", "id", "retry"):
            return []
        self.foreign += 1
        return []

    def _data(self, text: str) -> list[dict[str, Any]]:
        if text == DONE:
            self.done = True
            return []
        self._held.append(text)
        try:
            value = msgspec.json.decode("\n".join(self._held))
        except (msgspec.DecodeError, RecursionError):
            if len(self._held) > HELD:
                self._drop()
            return []
        self._held = []
        return [value] if isinstance(value, dict) else []

    def _drop(self) -> None:
        self.foreign += bool(self._held)
        self._held = []
