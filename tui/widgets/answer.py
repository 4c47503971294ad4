"""A reply's answer as Markdown that grows. Imported with the first answer: its parser is not light."""

from __future__ import annotations

from markdown_it import MarkdownIt
from textual.widgets import Markdown
from textual.widgets.markdown import MarkdownFence

from tui.text import clean


def _parser() -> MarkdownIt:
    """GitHub's Markdown, but HTML stays visible as text: a reply must not lose what it says."""
    return MarkdownIt("gfm-like", {"html": False, "linkify": False}).disable("linkify")


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
        MarkdownFence {
            margin: 0 0 1 0;
            padding: 0 1;
            background: $surface;
            border-left: outer $rule;
        }
        MarkdownFence > Label {
            width: 1fr;
            padding: 0;
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

    def __init__(self) -> None:
        super().__init__(None, parser_factory=_parser, open_links=False)
        self._streamed = False

    async def show(self, text: str, *, final: bool) -> None:
        """Show this text. `final` draws it anew as a whole once, for the tail was parsed piece by piece."""
        shown = clean(text).lstrip("\n")
        source = self.source
        if final:
            if self._streamed or shown != source:
                await self.update(shown)
            self._streamed = False
        elif shown.startswith(source):
            if len(shown) > len(source):
                self._streamed = True
                await self.append(shown[len(source) :])
        else:
            await self.update(shown)

    def fences(self) -> list[str]:
        """The code blocks, in order."""
        return [fence.code for fence in self.query(MarkdownFence)]
