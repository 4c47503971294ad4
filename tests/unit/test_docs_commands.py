"""What the examples in docs/ tell people to type is what the command line understands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.support.pty_app import ROOT
from tui.cli.parser import build_parser

PAGES = ("mini-pc.md", "remote.md", "container.md")


def commands(page: Path) -> list[list[str]]:
    """The words after `qwill` of every line in a block of commands; what ssh and docker hand on, too."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", page.read_text(), re.M | re.S)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    found = [re.search(r"(?:^|[ /])qwill((?: .*)?)$", line.partition("  #")[0].rstrip()) for line in lines]
    return [shlex.split(match[1]) for match in found if match]


@pytest.mark.parametrize("name", PAGES)
def test_every_command_of_an_example_exists(name: str) -> None:
    found = commands(ROOT / "docs" / name)
    assert len(found) > 3
    for words in found:
        given = words[1:] if words[:1] == ["qwill"] else words  # docker run IMAGE qwill ...
        assert given[:1] == ["."] or build_parser().parse_args(given), words


@pytest.mark.parametrize("name", PAGES)
def test_what_an_example_leads_to_is_there(name: str) -> None:
    for target in re.findall(r"\]\(([\w.-]+\.md)\)", (ROOT / "docs" / name).read_text()):
        assert (ROOT / "docs" / target).exists(), target
