"""The short way to import Textual and asyncio leaves out what it says, and nothing that works."""

from __future__ import annotations

import subprocess
import sys

import pytest

START = "from tui import lean; lean.import_asyncio(); lean.import_textual()"


def printed(code: str) -> str:
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return told.stdout.strip()


def test_the_palette_its_widgets_and_ssl_are_left_out():
    asked = "('ssl', 'textual.command', 'textual.widgets._select', 'textual.widgets._directory_tree')"
    loaded = printed(f"{START}; import sys, tui.app; print([n for n in {asked} if n in sys.modules])")
    assert loaded == "[]"


@pytest.mark.parametrize("name", ["textual.command.CommandPalette", "ssl.SSLContext"])
def test_whoever_asks_later_gets_the_real_one(name: str):
    module, _, thing = name.rpartition(".")
    assert printed(f"{START}; import {module}; print(bool({name}.__mro__[1:-1]))") == "True", thing


def test_a_textual_that_is_there_already_stays_as_it_is():
    code = f"import textual.app, textual.command as real; {START}; import textual.command as now"
    assert printed(f"{code}; print(real is now)") == "True"


def test_a_textual_that_needs_more_is_imported_whole():
    lacking = "from tui import lean; lean._NAMES = (); lean.import_textual()"
    assert printed(f"{lacking}; import textual.app, textual.command as c; print(hasattr(c, 'Hit'))") == "True"
