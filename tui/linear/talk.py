"""The conversation of the linear chat: sends, tells the reply, stops it, loads models, restarts."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from msgspec.structs import replace

from engine.api import EngineError, EngineLost, ErrorInfo, commands, specs
from tui.linear import words
from tui.linear.entry import PROMPT, Reader
from tui.linear.lines import Lines, interrupts
from tui.linear.link import Link, News, stop
from tui.linear.paper import Paper
from tui.linear.reply import Telling

OLD_PROMPTS = 100
"""Messages of a chat that the arrow keys bring back."""
TAIL = 12
"""Lines shown of the last answer of a chat that is gone on with."""


@dataclass(frozen=True)
class Wishes:
    """What the command line asked for."""

    dtype: str = ""
    evict: bool = False
    save: bool = True
    show_thinking: bool = False
    quant: specs.Quant | None = None


class Talk:
    """One chat at a time. What goes wrong is told in one sentence, and the talk goes on."""

    def __init__(
        self, link: Link, paper: Paper, reader: Reader, lines: Lines, chat: specs.ChatInfo, wishes: Wishes
    ) -> None:
        self.link = link
        self.paper = paper
        self.reader = reader
        self.chat = chat
        self.wishes = wishes
        self.show_thinking = wishes.show_thinking
        self.files: list[specs.Attachment] = []
        self.images: list[specs.ImageRef] = []
        """To go with the next message."""
        self.queued: deque[str] = deque()
        """Typed while a reply was written."""
        self.trash: list[specs.ChatInfo] = []
        self.leaving = False
        self._lines = lines
        self._warming: asyncio.Task[None] | None = None

    # --- the chat ---------------------------------------------------------------------------

    def name(self, model: str = "") -> str:
        """What a model is called; the chat's own without an id."""
        known = self.link.models.get(model or self.chat.model)
        return known.name if known else model or self.chat.model

    async def greet(self) -> None:
        """Who answers, and where the chat stands."""
        self.paper.say(words.settings(replace(self.chat, model=self.name()), await self.adapter_name()))
        page: commands.ChatPage = await self.link.request(commands.ReadChat(self.chat.id, limit=OLD_PROMPTS))
        self.reader.remember([m.text for m in page.messages if m.role == "user"])
        if page.messages:
            self.paper.say(f"Chat “{self.chat.title or self.chat.id}”. The last of it:")
            for message in page.messages[-2:]:
                self.paper.show(_tail(message))
        elif not sys.stdin.isatty():
            return
        else:
            self.paper.say("/help lists the commands. Ctrl+C stops a reply, Ctrl+D leaves.")

    async def adapter_name(self) -> str:
        """The active adapters' names and weights; empty for none."""
        active = self.chat.settings.adapters
        if not active:
            return ""
        from tui.weights import label

        found: commands.AdapterList = await self.link.request(commands.ListAdapters())
        names = {each.id: each.name for each in found.adapters}
        return label([(names.get(each.id, each.id), each.weight) for each in active])

    async def change(
        self,
        *,
        settings: specs.ChatSettings | None = None,
        model: str | None = None,
        title: str | None = None,
    ) -> None:
        """Change the chat."""
        self.chat = await self.link.request(
            commands.ChangeChat(self.chat.id, title=title, model=model, settings=settings)
        )

    async def new(self) -> None:
        """An empty chat with the same model and settings."""
        self.chat = await self.link.request(
            commands.NewChat(self.chat.model, self.chat.settings, saved=self.wishes.save)
        )

    def warm(self) -> None:
        """Begin to load the chat's model while a message is typed; what fails is told at the reply."""

        async def load() -> None:
            with contextlib.suppress(EngineError, EngineLost):
                await self.link.request(self._load_command())

        self._warming = asyncio.create_task(load())

    def _load_command(self, *, evict: bool = False) -> commands.LoadModel:
        return commands.LoadModel(self.chat.model, self.wishes.dtype, evict, self.wishes.quant)

    async def last_reply(self) -> specs.Message | None:
        """The newest reply of the chat."""
        page: commands.ChatPage = await self.link.request(commands.ReadChat(self.chat.id, limit=2))
        return next((each for each in reversed(page.messages) if each.role == "assistant"), None)

    # --- replies ----------------------------------------------------------------------------

    async def attempt(self, work: Awaitable[None]) -> None:
        """Do something; what goes wrong is told in one sentence."""
        try:
            await work
        except EngineLost as error:
            self.paper.say(words.lost(error.info))
        except EngineError as error:
            self.paper.say(error.info.sentence())

    async def send(self, text: str) -> None:
        """Say something, and tell the reply as it grows."""
        if not await self._ready():
            return

        async def ask() -> specs.Message:
            sent: commands.Sent = await self.link.request(
                commands.Send(self.chat.id, text, files=tuple(self.files), images=tuple(self.images))
            )
            self.chat, self.files, self.images = sent.chat, [], []
            return sent.reply

        await self.follow(ask)

    async def follow(self, ask: Callable[[], Awaitable[specs.Message]]) -> None:
        """Ask for a reply and tell it until it is done."""
        with self.link.listen() as news:
            reply = await ask()
            telling = Telling(
                self.paper, reply, show_thinking=self.show_thinking, name=self.name(reply.model)
            )
            async with self._keys(reply.id):
                done = await _tell(telling, news)
        if done is None:
            self.paper.end()
            raise EngineLost(self.link.lost or ErrorInfo("engine_lost", "The link to the engine broke"))
        if not self.paper.out.isatty():
            self.paper.out.write("\n")  # a blank line parts the answers of a script
        known = self.link.chats.get(self.chat.id)
        self.chat = known or self.chat

    @contextlib.asynccontextmanager
    async def _keys(self, reply: str) -> AsyncIterator[None]:
        """While a reply is written: Ctrl+C stops it, and lines are commands for it or wait for their turn."""
        loop = asyncio.get_running_loop()
        tasks: list[asyncio.Task[None]] = []

        def do(work: Awaitable[None]) -> None:
            tasks.append(loop.create_task(self.attempt(work)))

        def typed(line: str) -> None:
            if line.strip() == "/answer":
                do(self._answer_now(reply))
            elif line.strip() == "/stop":
                do(stop(self.link, reply))
            elif line.strip():
                self.queued.append(line)

        with interrupts(lambda: do(stop(self.link, reply))):
            if not self._typing:
                yield
                return
            async with self._lines.watched(typed):
                yield
            self.queued.extend(line for line in self._lines.waiting() if line.strip())
        self._lines.give_back()

    @property
    def _typing(self) -> bool:
        """Whether somebody at a terminal may type while a reply is written; a script waits for its turn."""
        return sys.stdin.isatty() and self.paper.aside.isatty()

    async def _answer_now(self, reply: str) -> None:
        await self.link.request(commands.AnswerNow(reply))

    def next_queued(self) -> str:
        """What was typed while a reply was written, shown as if it were typed now; empty for nothing."""
        if not self.queued:
            return ""
        text = self.queued.popleft()
        self.paper.say(PROMPT + text)
        return text

    # --- the model --------------------------------------------------------------------------

    async def _ready(self) -> bool:
        """Have the model loaded; False when that was cancelled or refused, which has been told."""
        model = self.link.models.get(self.chat.model)
        if model is not None and model.state == "ready":
            return True
        return await self._load(evict=self.wishes.evict)

    async def _load(self, *, evict: bool) -> bool:
        name = self.name()
        self.paper.say(f"Loading {name}.")
        with self.link.listen() as news:
            steps = asyncio.create_task(self._tell_load(news, name))
            try:
                with interrupts(self._cancel_load):
                    await self.link.request(self._load_command(evict=evict))
            except EngineError as error:
                if error.info.code == "would_evict" and not evict:
                    question = ErrorInfo("", error.info.title, error.info.detail).sentence()
                    answer = await self.reader.ask(f"{question} Let it go? [y/N]")
                    return answer.strip().lower() in ("y", "yes") and await self._load(evict=True)
                self.paper.say(
                    "The load is cancelled." if error.info.code == "cancelled" else error.info.sentence()
                )
                return False
            finally:
                steps.cancel()
        self.paper.say(f"{name} is loaded.")
        return True

    async def _tell_load(self, news: News, name: str) -> None:
        steps = words.LoadSteps(name)
        while await news.get() is not None:
            model = self.link.models.get(self.chat.model)
            said = steps.tell(model.progress) if model is not None and model.state == "loading" else ""
            if said:
                self.paper.say(said)

    def _cancel_load(self) -> None:
        async def cancel() -> None:
            await self.link.request(commands.UnloadModel(self.chat.model))

        self._warming = asyncio.get_running_loop().create_task(self.attempt(cancel()))

    async def restart(self) -> None:
        """Attach again, starting an engine where none runs, and go on with the chat."""
        await self.link.open()
        try:
            page: commands.ChatPage = await self.link.request(commands.ReadChat(self.chat.id, limit=2))
        except EngineError:  # a chat that was not to be kept went with its engine
            await self.new()
            self.paper.say("The engine runs again. The chat was not saved, so this is a new one.")
        else:
            self.chat = page.chat
            self.paper.say("The engine runs again, and the chat goes on.")
        self.warm()


async def _tell(telling: Telling, news: News) -> specs.Message | None:
    """The reply once it is done; None when the link was lost."""
    while (body := await news.get()) is not None:
        done = telling.take(body)
        if done is not None:
            return done
    return None


def _tail(message: specs.Message) -> str:
    who = PROMPT if message.role == "user" else "Answer: "
    lines = message.text.strip("\n").splitlines() or [""]
    if len(lines) > TAIL:
        lines = ["…", *lines[-TAIL:]]
    return who + "\n".join(lines)
