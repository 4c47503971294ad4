"""An engine of protocol 1, as recorded: it says what that one said, and leaves where that one would have."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from engine.protocol.wire import LINE_LIMIT

RECORDED = Path(__file__).resolve().parents[1] / "fixtures" / "protocol1.json"
RUN = "0001-pirate-r16"
UNKNOWN = {"t": "Event", "seq": 1, "at": 1.0, "body": {"is": "TidesTurned", "moon": {"phase": 0.5}}}
"""An event that no client of today knows."""
CHANGED = {"t": "Event", "seq": 1, "at": 1.0, "body": {"is": "ModelGone", "model": {"id": "demo"}}}
"""One whose fields have another type now."""


class OlderEngine:
    """Serves a socket. `asked` has the names of the commands that came."""

    def __init__(self) -> None:
        self.recorded: dict[str, Any] = json.loads(RECORDED.read_text(encoding="utf-8"))
        self.asked: list[str] = []
        self.greeted: list[int] = []
        self.stopped = asyncio.Event()
        self.lingers = 0.0
        """Seconds between a refusal and the end of its connection."""
        self._attached: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    async def listen(self, path: Path) -> None:
        self._server = await asyncio.start_unix_server(self._serve, path, limit=LINE_LIMIT)

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def say(*lines: dict[str, Any]) -> None:
            _say(writer, *lines)

        try:
            hello = json.loads(await reader.readline() or b"{}")
            self.greeted.append(hello.get("protocol", 0))
            if hello.get("protocol") == 1:
                self._attached.append(writer)
                say(self.recorded["welcome"], UNKNOWN, CHANGED, *self.recorded["events"])
                while await self._answer(await reader.readline(), say):
                    await writer.drain()
            else:
                say(self.recorded["refused"])
                await writer.drain()
                await asyncio.sleep(self.lingers)
        finally:
            writer.close()

    async def _answer(self, line: bytes, say: Any) -> bool:
        """One line of the client's; False where that engine would have left: it cannot read the line."""
        message = json.loads(line or b"{}")
        if message.get("t") == "Ping":
            say({"t": "Pong"})
            return True
        command = message.get("command", {}).get("do", "")
        known = self.recorded["replies"] | {"Shutdown": {}}
        if command not in known:
            return False
        self.asked.append(command)
        result = known[command]
        if command == "ReadRun" and self.stopped.is_set():
            result = self.recorded["stopped"]
        say({"t": "Reply", "id": message["id"], "result": result})
        if command == "StopRun":
            self.stopped.set()
            for writer in self._attached:
                _say(writer, *self.recorded["stopping"])
        return True


def _say(writer: asyncio.StreamWriter, *lines: dict[str, Any]) -> None:
    writer.writelines(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)
