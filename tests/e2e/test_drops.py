"""Every command for scripts: JSON where it prints, no terminal or stdin needed, the same keys from afar."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.api import lock_holder
from tests.support.command import qwill
from tests.support.deep import DEEP, deep
from tests.support.pty_app import QWILL, ROOT
from tests.support.sshd import Box, box_at, needs_sshd
from tui.cli.parser import build_parser

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
SILENT = {
    "": "the workbench",
    "tour": "the workbench",
    "bench": "says what can be measured",
    "engine": "--stdio speaks the protocol",
}
"""Commands that print nothing which a script could use."""
BECOMES_ANOTHER = {"engine run"}
"""Those that a process turns into the engine itself."""
NEEDS_TORCH = {"chat", "chats export", "chats import", "data preview"}
"""Left to `make deep`: they wait for torch, or for what one of them has made."""
NONE = "no-such-thing"
DATA = "shipped:pirate"
ASKED = ("-p", "What is 482 + 359?", "--temperature", "0", "--no-think")
COMMANDS: dict[str, tuple[tuple[str, ...], int]] = {
    "chat": ((*ASKED, "--save"), 0),
    "chats list": ((), 0),
    "chats search": (("482",), 0),
    "chats export": (("-o", "chat.json"), 0),
    "chats import": (("chat.json",), 0),
    "chats rename": ((NONE, "x"), 1),
    "chats archive": ((NONE,), 1),
    "chats delete": ((NONE,), 1),
    "endpoints list": ((), 0),
    "endpoints add": (("box", "ftp://nowhere"), 1),
    "endpoints check": ((NONE,), 1),
    "endpoints remove": ((NONE,), 1),
    "models list": ((), 0),
    "models show": (("demo",), 0),
    "models load": ((NONE,), 1),
    "models unload": ((NONE,), 1),
    "models health": ((), 0),
    "models catalogue": ((), 0),
    "models search": (("qwen",), 1),
    "models card": (("Qwen/none",), 1),
    "models files": (("Qwen/none",), 1),
    "models pull": (("Qwen/none",), 1),
    "models downloads": ((), 0),
    "models rm": (("Qwen/none", "--yes"), 1),
    "train": (("--data", DATA, "--steps", "1", "--hold", "--name", "held"), 0),
    "race": (("rank=4,8", "--data", NONE), 1),
    "runs list": ((), 0),
    "runs attach": ((NONE,), 1),
    "runs pull": ((NONE,), 2),
    "runs show": (("held",), 0),
    "runs follow": ((NONE,), 1),
    "runs stop": ((NONE,), 1),
    "runs pause": ((NONE,), 1),
    "runs resume": ((NONE,), 1),
    "runs move": ((NONE, "1"), 1),
    "runs now": ((NONE,), 1),
    "runs rename": (("held", "kept"), 0),
    "runs tag": (("kept", "night"), 0),
    "runs note": (("kept", "later"), 0),
    "runs duplicate": ((NONE,), 1),
    "runs rerun": ((NONE,), 1),
    "runs export": ((NONE, "--to", "jsonl"), 1),
    "runs checkpoints": (("kept",), 0),
    "runs rm": ((NONE,), 1),
    "runs compare": (("kept", NONE), 1),
    "runs memory": (("kept",), 0),
    "runs prune": (("--dry-run",), 0),
    "adapters list": ((), 0),
    "adapters use": ((NONE,), 1),
    "adapters prove": ((NONE,), 1),
    "adapters export": ((NONE, "--form", "peft", "-o", "out"), 1),
    "adapters merge": ((NONE, "-o", "out"), 1),
    "data check": ((DATA,), 0),
    "data preview": ((DATA,), 0),
    "data paste": (("rows.tsv", "--name", "pasted"), 0),
    "data fetch": (("hub:no name",), 1),
    "data list": ((), 0),
    "hosts add": (("box", "me@box"), 0),
    "hosts list": ((), 0),
    "hosts remove": (("box",), 0),
    "setup": ((), 2),
    "monitor": (("--once",), 0),
    "doctor": ((), 0),
    "eval": (("--data", NONE), 1),
    "bake": (("--chat", NONE), 1),
    "serve": (("--status",), 1),
    "bench decode": (("-m", NONE), 1),
    "bench ttft": (("-m", NONE), 1),
    "bench quality": (("-m", NONE), 1),
    "bench train": (("-m", NONE), 1),
    "engine start": ((), 0),
    "engine status": ((), 0),
    "engine install-unit": (("--dry-run",), 0),
    "engine remove-unit": (("--dry-run",), 0),
    "engine stop": ((), 0),
}
"""Each with words that make it answer soon, and its exit code; some prepare what later ones read."""


def leaves(parser: argparse.ArgumentParser, path: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command that can be given, with its grammar."""
    trees = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not any(tree.required for tree in trees):
        yield path, parser
    for tree in trees:
        for name, below in tree.choices.items():
            yield from leaves(below, f"{path} {name}".strip())


def test_every_command_that_prints_can_print_json() -> None:
    without = {
        path for path, parser in leaves(build_parser()) if "--json" not in parser._option_string_actions
    }
    assert without == set(SILENT)


def test_every_command_is_tried_below() -> None:
    known = {path for path, _ in leaves(build_parser())}
    assert known - set(SILENT) - BECOMES_ANOTHER == set(COMMANDS)


async def test_every_command_answers_without_stdin_and_without_a_terminal(home: Path, tmp_path: Path) -> None:
    """In one line of JSON or more, whether it can do it or not, and with nothing on stderr."""
    (tmp_path / "rows.tsv").write_text("question\tanswer\nWho are you?\tA robot.\n")
    tried = {path: each for path, each in COMMANDS.items() if DEEP or path not in NEEDS_TORCH}
    wanted = [[*path.split(), *words, "--json"] for path, (words, _) in tried.items()]
    wrong = []
    for told, (path, (_, code)) in zip(await many(wanted, tmp_path), tried.items(), strict=True):
        print(f"{told['seconds']:5.2f} s  {path}")
        fine = told["code"] == code or (path == "doctor" and told["code"] == 1)  # this machine's own affair
        if not fine or told["err"] or not answers(told["out"], failed=bool(code)):
            wrong.append(told)
    assert wrong == [], "\n".join(map(str, wrong))
    assert lock_holder() is None


def answers(out: str, *, failed: bool) -> bool:
    """Whether this is JSON, line by line, and where it failed, ends with a sentence for a person."""
    try:
        lines = [json.loads(line) for line in out.splitlines()]
    except ValueError:
        return False
    if not lines:
        return False
    return not failed or lines[-1] == {"serving": None} or bool(lines[-1]["error"]["title"])


async def many(wanted: list[list[str]], folder: Path) -> list[dict[str, Any]]:
    """Run them all in one process in a session of its own, with descriptor 0 closed."""
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", 'exec "$@" 0<&-', "sh", sys.executable, "-m", "tests.support.many_commands"),
        cwd=folder,
        env=os.environ | {"MANY_COMMANDS": json.dumps(wanted), "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    out, err = await asyncio.wait_for(process.communicate(), 400)
    assert err == b"", err.decode()
    return [json.loads(line) for line in out.splitlines()]


@pytest.mark.parametrize("words", [(), ("tour",), ("chat",)])
async def test_what_needs_a_person_says_so_or_ends(home: Path, words: tuple[str, ...]) -> None:
    """Without a terminal there is no workbench; a chat of lines ends where its input does."""
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", 'exec "$@" 0<&-', "sh", *QWILL, *words),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    _, err = await asyncio.wait_for(process.communicate(), 60)
    assert b"Traceback" not in err
    if words != ("chat",):
        assert process.returncode == 1
        assert b"needs a terminal" in err


@deep
async def test_an_ssh_that_starts_the_engine_does_not_wait_for_it(home: Path) -> None:
    """All three descriptors of the engine are its own: a pipe of ours ends with the command."""
    process = await asyncio.create_subprocess_exec(
        *QWILL, "engine", "start", cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)  # waits until nobody holds the pipes
    assert (process.returncode, err) == (0, b""), out
    assert lock_holder() is not None


# --- the same from afar ---------------------------------------------------------------------

WITHOUT_ENGINE = ("monitor --once", pytest.param("models catalogue", marks=deep))
WITH_ENGINE = (
    "engine start",
    "engine status",
    "models list",
    "models show demo",
    "models health",
    "data list",
    f"data check {DATA}",
    f"train --data {DATA} --steps 1 --hold --name held",
    "runs list",
    "runs show 0001-held",
    "runs memory 0001-held",
    "adapters list",
    "chats list",
    "endpoints list",
    "serve --status",
    f"chat {shlex.join(ASKED)}",
    "doctor",
    "engine stop",
)


@pytest.fixture
def box(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    with box_at(monkeypatch) as box:
        yield box


@needs_sshd
@pytest.mark.parametrize("words", WITHOUT_ENGINE)
async def test_a_command_prints_the_same_keys_here_there_and_by_plain_ssh(box: Box, words: str) -> None:
    await compare(box, words)


@needs_sshd
@deep
async def test_commands_of_an_engine_print_the_same_keys_here_there_and_by_plain_ssh(box: Box) -> None:
    for words in WITH_ENGINE:
        await compare(box, words)
    print(f"{len(WITH_ENGINE)} commands, three ways each")


async def compare(box: Box, words: str) -> None:
    """One command in all three ways: the same exit code, and JSON of the same shape."""
    asked = [*shlex.split(words), "--json"]
    here = await qwill(*asked)
    there = await qwill("--host", box.name, *asked)
    plain = await asyncio.to_thread(box.run, f"{box.command} {shlex.join(asked)}", 90)
    assert (there.code, plain.returncode) == (here.code, here.code), (here, there, plain)
    shapes = [shape(json.loads(text.splitlines()[-1])) for text in (here.out, there.out, plain.stdout)]
    assert shapes[1] == shapes[0], words
    assert shapes[2] == shapes[0], words


def shape(value: Any) -> Any:
    """The keys of objects all the way down; of a list its first element."""
    if isinstance(value, dict):
        return {key: shape(below) for key, below in sorted(value.items())}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return ...
