"""The way to another machine, without one: its name, how Qwill is found there, faults in words."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from engine.api import EngineError, state_dir
from engine.remote import command, marker, remember, words
from tests.support.near import program

FINE = [
    "box",
    "me@box",
    "box.lan",
    "me@10.0.0.7",
    "[fe80::1%eth0]",
    "ssh://me@box:2222",
    "my_box-2",
    "ünïcode.de",
]
WRONG = [
    "",
    "-oProxyCommand=x",
    "me@-x",
    "@box",
    "a b",
    "a\nb",
    "a\x1bb",
    "a;b",
    "a|b",
    "$(x)",
    "`x`",
    "a'b",
    'a"b',
    "a\\b",
]
WRONG += ["a&b", "a<b", "a>b", "a*", "x" * 256, "a#b", "a\u202eb", "!a", "{a,b}"]
SHELLS = [
    shell for shell in ("sh", "bash", "dash", "zsh", "ksh", "fish", "tcsh", "csh") if shutil.which(shell)
]


@pytest.mark.parametrize("host", FINE)
def test_names_that_ssh_takes_are_passed_on_as_they_are(host: str) -> None:
    assert command.checked(host) == host


@pytest.mark.parametrize("host", WRONG)
def test_what_could_be_read_as_anything_else_is_refused(host: str) -> None:
    with pytest.raises(EngineError) as caught:
        command.checked(host)
    assert caught.value.info.code == "host_name"


def test_the_script_holds_nothing_that_any_shell_reads_in_quotes() -> None:
    assert not set("'\\!\n") & set(command.SCRIPT)


def ask(shell: str, home: Path, words: list[str], known: str = "") -> subprocess.CompletedProcess[str]:
    """As sshd does it: the user's shell gets the command as one word."""
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh"}
    wanted = [shutil.which(shell) or shell, "-c", command.remote(words, known)]
    return subprocess.run(wanted, env=environment, capture_output=True, text=True, check=False, timeout=20)


def says(home: Path, where: str) -> Path:
    """A `qwill` that prints where it was found and what it was asked."""
    return program(home / where, '#!/bin/sh\nprintf "%s|" "$QWILL_FOUND" "$@"\n')


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_passes_the_words_on_whole(shell: str, home: Path) -> None:
    found = says(home, ".local/bin/qwill")
    asked = ["chat", "-p", 'It\'s "so" $HOME `x` ; a b', "--json"]
    if shell in ("fish", "tcsh", "csh"):  # words with quotes of their own are for shells of the Bourne family
        asked = ["engine", "--stdio"]
    done = ask(shell, home, asked)
    assert done.stdout == "|".join([str(found), *asked, ""]), done


@pytest.mark.parametrize(
    "where",
    [
        ".local/bin/qwill",
        ".local/share/qwill/venv/bin/qwill",
        ".local/share/pipx/venvs/qwill/bin/qwill",
        ".local/share/uv/tools/qwill/bin/qwill",
        "bin/qwill",
    ],
)
def test_the_usual_places_are_looked_at(home: Path, where: str) -> None:
    assert ask("sh", home, ["x"]).returncode == 127
    found = says(home, where)
    assert ask("sh", home, ["x"]).stdout == f"{found}|x|"


def test_a_login_shell_may_know_more_and_may_greet(home: Path) -> None:
    found = says(home, "opt/strange/qwill")
    (home / ".profile").write_text(f'echo Welcome; PATH="{found.parent}:$PATH"\n')
    assert ask("sh", home, ["x"]).stdout == f"{found}|x|"


def test_the_remembered_command_comes_first_and_a_stale_one_costs_nothing(home: Path) -> None:
    usual, remembered = says(home, ".local/bin/qwill"), says(home, "opt/qwill")
    assert ask("sh", home, ["x"], str(remembered)).stdout == f"{remembered}|x|"
    remembered.unlink()
    assert ask("sh", home, ["x"], str(remembered)).stdout == f"{usual}|x|"
    assert ask("sh", home, ["x"], "/x'; touch gone; '").stdout == f"{usual}|x|", "no plain path: not used"


def test_where_it_is_not_there_the_pump_is_told_and_a_command_prints_nothing(home: Path) -> None:
    assert ask("sh", home, ["engine", "--stdio"]).stdout == "\n#qwill missing\n"
    assert ask("sh", home, ["doctor", "--json"]).stdout == ""


def test_hosts_are_remembered_and_forgotten(home: Path) -> None:
    assert remember.command("box") == ""
    remember.remember("box", "/opt/qwill")
    remember.remember("other", "/x")
    remember.forget("box")
    assert json.loads((state_dir() / "hosts.json").read_text()) == {"other": "/x"}
    (state_dir() / "hosts.json").write_text("[1]")
    assert remember.command("other") == ""


SAID = [
    ("ssh: Could not resolve hostname bxo: Name or service not known", "ssh_unknown_host", True),
    ("ssh: connect to host box port 22: Connection refused", "ssh_refused", True),
    ("ssh: connect to host box port 22: Connection timed out", "ssh_unreachable", True),
    ("ssh: connect to host box port 22: No route to host", "ssh_unreachable", True),
    (
        "@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.",
        "ssh_host_changed",
        False,
    ),
    ("No ED25519 host key is known for box.\nHost key verification failed.", "ssh_host_unknown", False),
    ("me@box: Permission denied (publickey,password).", "ssh_denied", False),
    ("Received disconnect: Too many authentication failures", "ssh_denied", False),
    ("~/.ssh/config: line 3: Bad configuration option: hst", "ssh_config", False),
    ("kex_exchange_identification: Connection closed by remote host", "ssh_closed", True),
    ("something new\x1b[31m", "ssh_failed", True),
]


@pytest.mark.parametrize(("said", "code", "again"), SAID, ids=[code for _, code, _ in SAID])
def test_what_ssh_says_becomes_one_plain_sentence(said: str, code: str, again: bool) -> None:
    info = words.no_line("me@box", 255, said, b"")
    assert (info.code, info.retryable) == (code, again)
    assert info.title
    assert info.remedy
    assert info.sentence().isprintable()
    assert (info.code in words.NEEDS_PERSON) == (code in ("ssh_denied", "ssh_host_unknown"))


def test_lines_of_the_line_are_read_and_rubbish_is_none() -> None:
    note = marker.Here("1.0", 2, "/x/qwill")
    before, line, after = marker.written(note).split(b"\n")
    assert (before, after) == (b"", b"")
    assert marker.read(line) == note
    assert isinstance(marker.read(b"#qwill missing\r"), marker.Missing)
    for rubbish in (
        b"",
        b"#qwill",
        b"#qwill {",
        b'#qwill {"is":"Other"}',
        b'{"t":"Pong"}',
        b"\xff#qwill missing",
    ):
        assert marker.read(rubbish) is None
