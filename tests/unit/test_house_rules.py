"""The rules that keep the parts apart, read from the source itself."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("engine", "tui", "tests")
# Spelt so that this file does not hold what it looks for.
MACHINE_PATH = re.compile(r"/(?:work|root|farm|home/[a-z]+)" + r"/")
TEXT = {".py", ".md", ".toml", ".txt", ".yml", ".yaml", ".json", ".jsonl", ".jinja", ".svg", ".sql", ""}


def sources(*packages: str) -> list[Path]:
    return sorted(path for package in packages for path in (ROOT / package).rglob("*.py"))


def tracked() -> list[Path]:
    """The files of the repository; without git, those a checkout would have."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listing = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    except (OSError, subprocess.CalledProcessError):
        return sources(*PACKAGES)
    return [ROOT / name for name in listing.split("\0") if name]


def imports(path: Path) -> Iterator[str]:
    """Dotted names of all that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_the_tui_enters_the_engine_by_its_one_door() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sources("tui")
        for name in imports(path)
        if name.partition(".")[0] == "engine" and not name.startswith("engine.api")
    ]
    assert wrong == []


def test_the_import_contracts_hold() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    command = [str(lint), "--no-cache", "--config", str(ROOT / "pyproject.toml")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in sources(*PACKAGES)
        if not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def test_no_file_names_a_folder_of_the_machine_it_was_written_on() -> None:
    named = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked()
        if path.suffix in TEXT and path.is_file()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if MACHINE_PATH.search(line)
    ]
    assert named == []


def test_the_program_never_prints_past_its_screen() -> None:
    """Only the command line prints; a print elsewhere would land in a frame or be lost."""
    printing = [
        str(path.relative_to(ROOT))
        for path in sources("tui", "engine")
        if not path.is_relative_to(ROOT / "tui" / "cli")
        and not path.is_relative_to(ROOT / "engine" / "workers")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert printing == []
