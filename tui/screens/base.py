"""What the parts of the workbench share: the state, the link, and how a request is made and fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace
from textual.widget import MountError

from engine.api import EngineError, EngineLost, ErrorInfo, commands, specs
from tui.link import Link
from tui.reduce import Dirty, What
from tui.screens.covered import Covered
from tui.state import State, Turn
from tui.widgets.banner import Banner
from tui.widgets.composer import Composer, ComposerBox
from tui.widgets.header import Header
from tui.widgets.key_hints import KeyHints
from tui.widgets.monitor_pane import MonitorPane
from tui.widgets.rule import Rule
from tui.widgets.side_pane import SidePane
from tui.widgets.suggestions import Suggestions
from tui.widgets.transcript import Transcript

if TYPE_CHECKING:
    from tui.screens.layer import Layer


class Desk(Covered):
    """The widgets by name, and helpers. The verbs are in the classes on top of it."""

    state: State
    link: Link
    header: Header
    side: SidePane
    transcript: Transcript
    suggestions: Suggestions
    composer: Composer
    box: ComposerBox
    monitor: MonitorPane
    rule: Rule
    banner: Banner
    hints: KeyHints

    def say(self, words: str, *, grave: bool = False, for_seconds: float = 5.0) -> None:
        """A sentence in place of the key hints for a while, on the screen that lies on top too."""
        from tui.screens.layer import Layer

        self.hints.say(words, grave=grave, for_seconds=for_seconds)
        if isinstance(self.app.screen, Layer):
            self.app.screen.say(words, grave=grave, for_seconds=for_seconds)

    def fail(self, info: ErrorInfo) -> None:
        """A request failed: one line tells it; where there is more to say, a dialog does."""
        if info.code in ("engine_dead", "engine_lost"):
            return  # the line at the bottom says it; a dialog would keep F9 and what is typed from the screen
        if info.detail or info.remedy:
            from tui.modals.error import ErrorDialog

            self.app.push_screen(ErrorDialog(info))
        else:
            self.say(info.sentence(), grave=True)

    def show_layer(self, layer: Layer, left: Callable[[None], None] | None = None) -> None:
        """Lay a full screen over the workbench; `left` is told when it is closed.

        An older one of its kind is closed first, with all that lies on it: the ways from one screen to the
        next go round in circles, and each screen that nobody comes back to holds its widgets.
        """
        stack = self.app.screen_stack
        above = stack[stack.index(self) + 1 :] if self in stack else []
        while any(type(each) is type(layer) for each in above) and above[-1].is_mounted:
            above.pop().dismiss(None)
        self.app.push_screen(layer, left)

    def mark(self, *parts: What) -> None:
        """Have these parts drawn with the next tick."""
        self.link.mark({Dirty(part) for part in parts})

    def ask(
        self,
        command: commands.Command,
        then: Callable[[Any], None] | None = None,
        *,
        failed: Callable[[ErrorInfo], None] | None = None,
    ) -> None:
        """Make a request beside everything else, and go on with its result."""

        async def run() -> None:
            result = await self.link.request(command)
            if then is not None:
                then(result)

        self.attempt(run(), failed=failed)

    def attempt(self, work: Awaitable[None], *, failed: Callable[[ErrorInfo], None] | None = None) -> None:
        """Do something that makes requests; its errors are shown, or given to `failed`."""

        async def run() -> None:
            try:
                await work
            except (EngineError, EngineLost) as error:
                (failed or self.fail)(error.info)
            except MountError:
                if self.is_attached:
                    raise

        self.run_worker(run())

    def newest(self, role: specs.Role) -> Turn | None:
        """The newest message of a role in the chat shown, as far as it has been read."""
        path = self.state.engine.path(self.state.chat)
        return next((turn for turn in reversed(path) if turn.role == role), None)

    def writer(self, reply: Turn) -> str:
        """Who wrote a reply: model and adapter."""
        model = self.state.engine.model(reply.model)
        title = model.name if model else reply.model
        label = self.state.engine.adapter_label(reply.adapter, reply.settings)
        return f"{title} + {label}" if reply.adapter else title

    def change_settings(self, settings: specs.ChatSettings, *, model: str | None = None) -> None:
        """New settings for the chat shown, whether it exists yet or not, and another model."""
        self.mark(What.ENGINE)
        chat, wanted = self.state.chat, self.state.wanted
        if not chat:
            blank = self.state.blank
            model = blank.model if model is None else model
            self.state.blank = replace(blank, settings=settings, model=model)
            return
        wanted[chat] = settings

        def answered() -> None:
            if wanted.get(chat) is settings:  # else more was asked for meanwhile, and is still on its way
                del wanted[chat]
                self.mark(What.ENGINE)

        def changed(info: specs.ChatInfo) -> None:
            self.link.take_chat(info)
            answered()

        def refused(info: ErrorInfo) -> None:
            answered()
            self.fail(info)

        self.ask(commands.ChangeChat(chat, model=model, settings=settings), changed, failed=refused)
