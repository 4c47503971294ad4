"""What a fresh process has imported: the screen never torch, the command line no screen either."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"torch", "transformers", "tokenizers", "safetensors", "peft", "accelerate", "numpy"}
SCREEN = {"textual", "rich"}


def loaded_after(statement: str) -> set[str]:
    """Top-level modules of a fresh interpreter after this statement."""
    code = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("module", "never"),
    [
        ("tui.app", HEAVY),
        ("tui.cli.main", HEAVY | SCREEN | {"msgspec", "asyncio"}),
        ("tui.cli.chat", HEAVY | SCREEN),
        ("tui.cli.models", HEAVY | SCREEN),
        ("tui.cli.engine", HEAVY | SCREEN),
        ("engine.api", HEAVY | SCREEN),
        ("engine.host", HEAVY | SCREEN | {"tui"}),
    ],
)
def test_a_fresh_process_imports_nothing_it_must_not(module: str, never: set[str]) -> None:
    assert loaded_after(f"import {module}") & never == set()


def test_help_imports_neither_the_protocol_nor_asyncio() -> None:
    quietly = "import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()):"
    code = f"{quietly}\n  import tui.cli.main\n  tui.cli.main.main(['--help'])"
    assert loaded_after(code) & (HEAVY | SCREEN | {"msgspec", "asyncio", "engine"}) == set()
