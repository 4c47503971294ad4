"""A reply's answer as Markdown that grows. Imported with the first answer: its parser is not light."""

from __future__ import annotations

from textual.widget import MountError
from textual.widgets import Markdown

from tui.markdown import parser
from tui.text import clean
from tui.widgets.fence import Colours, Fence


class Answer(Markdown):
    """Shows a text; while it grows, only its last block is parsed again."""

    DEFAULT_CSS = """
    Answer {
        padding: 0;
        margin: 0;
        background: transparent;

        MarkdownBlock > .code_inline {
            background: $panel !important;
            color: $secondary !important;
        }
        MarkdownH1, MarkdownH2, MarkdownH3, MarkdownH4, MarkdownH5, MarkdownH6 {
            content-align: left middle;
            color: $foreground;
            background: transparent;
            text-style: bold;
            margin: 1 0 1 0;
            padding: 0;
            border: none;
        }
        MarkdownParagraph {
            margin: 0 0 1 0;
        }
        MarkdownBlockQuote {
            background: transparent;
            border-left: outer $rule;
            margin: 0 0 1 0;
            padding: 0 1;
        }
        MarkdownBlockQuote > MarkdownParagraph {
            color: $thought;
        }
        MarkdownBlockQuote > MarkdownParagraph:last-child {
            margin: 0;
        }
        MarkdownList MarkdownParagraph {
            margin: 0;
        }
        MarkdownBullet {
            color: $accent;
        }
        MarkdownHorizontalRule {
            border-bottom: solid $rule;
            margin: 0 0 1 0;
        }
    }
    """

    BLOCKS = Markdown.BLOCKS | {"fence": Fence, "code_block": Fence}

    def __init__(self) -> None:
        super().__init__(None, parser_factory=parser, open_links=False)
        self.streaming = False
        """Whether more is to come, so that an open code block is not coloured at every flush."""
        self.colours = Colours()
        self._appended = False

    async def show(self, text: str, *, final: bool) -> None:
        """Show this text. `final` draws it anew as a whole once, for the tail was parsed piece by piece."""
        try:
            await self._show(clean(text).lstrip("\n"), final=final)
        except MountError:
            if self.is_attached:
                raise  # else it was taken off the screen in the middle of it

    async def _show(self, shown: str, *, final: bool) -> None:
        source = self.source
        self.streaming = not final
        if final:
            if self._appended or shown != source:
                await self.update(shown)
            self._appended = False
        elif shown.startswith(source):
            if len(shown) > len(source):
                self._appended = True
                await self.append(shown[len(source) :])
        else:
            await self.update(shown)
        for number, fence in enumerate(self.fences(), start=1):
            fence.show_number(number)

    def fences(self) -> list[Fence]:
        """The code blocks, in order."""
        return list(self.query(Fence))
