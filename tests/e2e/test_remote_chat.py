"""Another machine's engine over a real ssh: commands print what they print at home; faults are told."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.api import QwillError, Target, commands, connect, lock_holder, state_dir
from tests.support.command import qwill
from tests.support.sshd import Box, box_at, needs_sshd

pytestmark = [pytest.mark.e2e, pytest.mark.engine, pytest.mark.timeout(300), needs_sshd]
ASK = ("-p", "What is 482 + 359?", "--temperature", "0", "--no-think", "--json")


@pytest.fixture
def shared_box(shared_home: Path, shared: Box, monkeypatch: pytest.MonkeyPatch) -> Box:
    monkeypatch.setenv("QWILL_SSH", " ".join(shared.ssh))
    return shared


@pytest.fixture(scope="module")
def shared() -> Iterator[Box]:
    """One box for the whole file: its engine takes seconds to start."""
    with pytest.MonkeyPatch.context() as patch, box_at(patch) as box:
        yield box


async def test_a_chat_prints_there_what_it_prints_here(shared_box: Box) -> None:
    there = await qwill("--host", "box", "chat", *ASK)
    assert there.code == 0, there
    assert lock_holder() is None, "no engine was started here"
    plainly = shared_box.run(f"{shared_box.command} chat {shlex.join(ASK)}", timeout=90)
    assert plainly.returncode == 0, plainly
    facts = json.loads(plainly.stdout)
    assert (there.json["text"], there.json["model"]) == (facts["text"], facts["model"])
    assert there.json["text"].strip()
    assert there.json.keys() == facts.keys()


async def test_a_file_that_lies_there_goes_with_a_message(shared_box: Box) -> None:
    (shared_box.home / "rule.txt").write_text("Answer in verse.")
    words = ("--host", "box", "chat", "-p", "Who are you?", "--no-think", "--json")
    alone = await qwill(*words)
    said = await qwill(*words, "--file", f"box:{shared_box.home}/rule.txt")
    assert said.code == 0, said
    assert said.json["stats"]["prompt_tokens"] > alone.json["stats"]["prompt_tokens"] + 4
    refused = await qwill(*words, "--file", f"box:{shared_box.home}/absent.txt")
    assert (refused.code, refused.json["error"]["title"]) == (
        1,
        "box:absent.txt cannot be read: no such file or directory",
    )


async def test_the_host_of_the_environment_is_taken_and_the_box_remembered(
    shared_box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QWILL_HOST", "box")
    listed = await qwill("models", "list", "--json")
    assert [model["id"] for model in listed.json["models"]] == ["demo"]
    known = json.loads((state_dir() / "hosts.json").read_text())
    assert known == {"box": str(shared_box.command)}
    assert (await qwill("--host", "", "engine", "status")).code == 1, "an empty host is this machine"


async def test_what_is_about_the_machine_is_said_by_it(shared_box: Box) -> None:
    status = await qwill("--host=box", "engine", "status", "--json")
    assert status.json["log"].startswith(str(shared_box.home))
    found = await qwill("--host", "box", "doctor", "--json")
    folders = " ".join(finding["what"] for finding in found.json["findings"])
    assert str(shared_box.home) in folders
    assert str(state_dir()) not in folders


async def test_a_run_is_started_followed_and_read_there(shared_box: Box) -> None:
    words = ("--host", "box", "train", "--data", "shipped:pirate", "--steps", "2", "--follow", "--json")
    done = await qwill(*words, timeout=200)
    assert done.code == 0, done
    ended = json.loads(done.out.splitlines()[-1])
    assert ended["state"] == "done"
    listed = await qwill("--host", "box", "runs", "list", "--json")
    assert ended["id"] in [run["id"] for run in listed.json]
    assert (shared_box.home / "data").is_dir()
    assert not (Path(os.environ["XDG_DATA_HOME"]) / "qwill" / "runs").exists()


async def test_faults_of_the_way_are_one_plain_sentence(
    shared_box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = shared_box.folder / "nowhere"
    nowhere.write_text(shared_box.config.read_text().replace(f"Port {shared_box.port}", "Port 1"))
    monkeypatch.setenv("QWILL_SSH", f"ssh -F {nowhere}")
    assert await fault() == "ssh_refused"
    assert await fault("no-such-host.invalid") == "ssh_unknown_host"
    monkeypatch.setenv("QWILL_SSH", "no-such-ssh")
    assert await fault() == "ssh_missing"
    for wrong in ("-oProxyCommand=true", "box;true", "a b", "@", "us\x1ber@box", "user@-box"):
        assert await fault(wrong) == "host_name"


async def fault(host: str = "box") -> str:
    with pytest.raises(QwillError) as caught:
        await connect(Target(host=host, person=False))
    assert caught.value.info.title
    assert "\x1b" not in caught.value.info.sentence()
    return caught.value.info.code


async def test_keys_that_do_not_fit_need_a_person_and_are_never_accepted(
    shared_box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, plain = shared_box.folder / "known_hosts", shared_box.config.read_text()
    kept = known.read_text()
    other = (shared_box.folder / "user_key.pub").read_text().split()[1]
    stranger = shared_box.folder / "stranger"
    stranger.write_text(plain.replace("user_key", "host_key"))  # a key that opens nothing there
    try:
        known.write_text(f"[127.0.0.1]:{shared_box.port} ssh-ed25519 {other}\n")
        await without_master()
        assert await fault() == "ssh_host_changed"
        known.write_text("")
        assert await fault() == "ssh_host_unknown"
        assert known.read_text() == ""
        known.write_text(kept)
        monkeypatch.setenv("QWILL_SSH", f"ssh -F {stranger}")
        assert await fault() == "ssh_denied"
    finally:
        known.write_text(kept)


async def without_master() -> None:
    """End the connection that several processes share, so that the next one begins anew."""
    from engine.remote import master, ssh

    master.leave(ssh.program(), "box")


async def test_a_greeting_is_skipped_a_flood_is_refused_and_an_old_qwill_is_named(
    shared_box: Box,
) -> None:
    command, kept = shared_box.command, shared_box.command.read_text()

    def says(script: str) -> None:
        command.write_text(f"#!/bin/sh\n{script}\n")

    try:
        says("echo Welcome to the box; printf no-newline; " + kept.splitlines()[1])
        client = await connect(Target(host="box", person=False))
        await client.request(commands.Status())
        await client.close()
        says("yes mining")
        assert await fault() == "ssh_noise"
        says("echo SSH-2.0-other; exit 0")
        assert await fault() == "ssh_noise"
        says("echo 'qwill: Unrecognized arguments: --stdio' >&2; exit 2")
        assert await fault() == "qwill_old"
        says("exit 126")
        assert await fault() == "qwill_missing"
        command.rename(command.with_name("away"))
        assert await fault() == "qwill_missing"
        command.with_name("away").rename(command)
    finally:
        command.write_text(kept)
        command.chmod(0o755)
