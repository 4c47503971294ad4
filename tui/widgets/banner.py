"""What went wrong with the engine, in plain words, above the key hints until it is mended."""

from __future__ import annotations

from textual.widgets import Static

from tui.text import clean


class Banner(Static):
    """Hidden while all is well."""

    DEFAULT_CSS = """
    Banner {
        display: none;
        height: auto;
        max-height: 4;
        padding: 0 1;
        background: $warning 15%;
        color: $warning;
    }
    Banner.-shown {
        display: block;
    }
    """

    def __init__(self) -> None:
        super().__init__("", markup=False)
        self.sentence = ""

    def say(self, sentence: str) -> None:
        """Show this; an empty sentence hides the banner."""
        if sentence == self.sentence:
            return
        self.sentence = sentence
        self.update("! " + clean(sentence) if sentence else "")
        self.set_class(bool(sentence), "-shown")
