"""Lines from a descriptor, and the reader where nothing can be edited: TERM=dumb, a pipe, a file."""

from __future__ import annotations

import asyncio
import os
import select
import signal
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from tui.linear.entry import MORE, PROMPT, Draft, Entered
from tui.linear.paper import Paper


class Lines:
    """Whole lines of a descriptor; it is read only while somebody waits for one."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._partial = b""
        self._lines: deque[str] = deque()
        self._ended = False

    async def line(self) -> str | None:
        """The next line without its end; None at the end of the input."""
        loop = asyncio.get_running_loop()
        while not self._lines and not self._ended:
            came: asyncio.Future[None] = loop.create_future()
            try:
                loop.add_reader(self._descriptor, self._read, came)
            except PermissionError:  # a regular file is always ready
                self._read(came)
                continue
            try:
                await came
            finally:
                loop.remove_reader(self._descriptor)
        return self._lines.popleft() if self._lines else None

    @asynccontextmanager
    async def watched(self, take: Callable[[str], None]) -> AsyncIterator[None]:
        """Hand every line to `take` as it comes; the end of the input waits for the next `line`."""

        async def watch() -> None:
            while (line := await self.line()) is not None:
                take(line)

        task = asyncio.create_task(watch())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})  # whoever reads next must not lose the descriptor to its end
            while self._lines:  # they came, and the task was not woken any more
                take(self._lines.popleft())

    def waiting(self) -> list[str]:
        """Whole lines that are there already, without waiting for more."""
        while select.select([self._descriptor], [], [], 0)[0] and not self._ended:
            self._read(None)
        found = list(self._lines)
        self._lines.clear()
        return found

    def give_back(self) -> None:
        """Forget an end: on a terminal there is more after Ctrl+D."""
        self._ended = False

    def _read(self, came: asyncio.Future[None] | None) -> None:
        try:
            data = os.read(self._descriptor, 1 << 16)
        except OSError:  # the terminal is gone
            data = b""
        *whole, self._partial = (self._partial + data).split(b"\n")
        if not data:
            self._ended = True
            if self._partial:
                whole, self._partial = [self._partial], b""
        self._lines.extend(line.decode(errors="replace").removesuffix("\r") for line in whole)
        if came is not None and not came.done():
            came.set_result(None)


@contextmanager
def interrupts(take: Callable[[], None]) -> Iterator[None]:
    """Call `take` at Ctrl+C instead of ending the program."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, take)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)


class PlainReader:
    """Reads lines as the terminal edits them; the prompt is all that is written."""

    def __init__(self, lines: Lines, paper: Paper) -> None:
        self._lines = lines
        self._paper = paper
        self._prompt = ""

    async def read(self) -> Entered:
        """The next message. Raises nothing."""
        draft = Draft()
        while True:
            self._prompt = PROMPT if draft.empty else MORE
            self._paper.prompt(self._prompt)
            line = await self._line()
            if isinstance(line, Entered):
                return Entered("interrupt", draft.text)
            if line is None:
                self._paper.prompt("\n")
                return Entered("end") if draft.empty else Entered("text", draft.text)
            if draft.add(line):
                return Entered("text", draft.text)

    async def ask(self, question: str) -> str:
        """One line in answer."""
        self._prompt = question + " "
        self._paper.prompt(self._prompt)
        line = await self._line()
        return line if isinstance(line, str) else ""

    async def aside(self, say: Callable[[], None]) -> None:
        """Say it on a line of its own and show the prompt again."""
        self._paper.prompt("\n")
        say()
        self._paper.prompt(self._prompt)

    def remember(self, texts: list[str]) -> None:
        """There are no arrow keys here."""

    async def _line(self) -> str | Entered | None:
        """A line, None at the end, or an interrupt."""
        reading = asyncio.ensure_future(self._lines.line())
        pressed = asyncio.Event()
        waiting = asyncio.ensure_future(pressed.wait())
        try:
            with interrupts(pressed.set):
                await asyncio.wait({reading, waiting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if reading.done():
            return reading.result()
        reading.cancel()
        await asyncio.wait({reading})
        self._paper.prompt("\n")
        return Entered("interrupt")
