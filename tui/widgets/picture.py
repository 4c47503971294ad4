"""An image of a message: its name and size in a line, and the image itself where it can be shown."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from engine.api import specs
from tui.images import can_show, cells, shown, words
from tui.widgets.lines import name


class Picture(Widget):
    """Takes its whole height at once, so that nothing moves when the image comes."""

    DEFAULT_CSS = """
    Picture {
        layout: vertical;
        height: auto;
    }
    Picture .name {
        color: $thought;
        height: 1;
    }
    """

    class Wanted(Message):
        """It can be shown here, and its pixels lie with the engine."""

        def __init__(self, picture: Picture) -> None:
            super().__init__()
            self.picture = picture

    def __init__(self, image: specs.ImageRef) -> None:
        super().__init__()
        self.image = image
        self._shows = can_show()

    def compose(self) -> ComposeResult:
        yield Static(f"[image {name(self.image.name)} {words(self.image)}]", classes="name", markup=False)

    def on_mount(self) -> None:
        if self._shows:
            self.styles.height = 1 + cells(self.image)[1]
            self.post_message(self.Wanted(self))

    async def show(self, data: bytes) -> None:
        """Show this PNG; where it cannot be, the line stays alone."""
        try:
            widget = shown(data)
        except (ImportError, OSError, ValueError):
            self.fall_back()
            return
        widget.styles.width, widget.styles.height = cells(self.image)
        await self.mount(widget)

    def fall_back(self) -> None:
        """The line alone."""
        self.styles.height = 1
