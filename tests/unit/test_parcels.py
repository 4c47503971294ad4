"""Files that travel by hash: resumed where they were cut, verified, bounded, never put in a wrong place."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from engine.api import EngineError, EngineLost, ErrorInfo, commands
from engine.parcels import collect as collecting
from engine.parcels import depot, exports, folders, handed
from engine.parcels.fetch import fetch
from engine.parcels.names import is_plain, is_taken, tidy
from engine.parcels.pacing import AIM, Parts
from engine.parcels.push import push
from engine.protocol.parcels import PART

DATA = b"".join(hashlib.sha256(bytes([n % 256, n // 256])).digest() for n in range(40_000))


def quiet(_done: int, _total: int) -> None:
    """Nobody watches."""


def code(act: Callable[[], Any]) -> str:
    with pytest.raises(EngineError) as caught:
        act()
    assert caught.value.info.title
    return caught.value.info.code


class Wire:
    """An engine's answers about files, from this process; the line can be cut."""

    def __init__(self, folder: Path | None = None, cut_after: int | None = None) -> None:
        self.folder = folder
        self.cut_after = cut_after
        self.asked: list[Any] = []

    async def request(self, command: Any) -> Any:
        self.asked.append(command)
        if isinstance(command, commands.PutPart | commands.ReadFile):
            if self.cut_after == 0:
                raise EngineLost(ErrorInfo("engine_lost", "The line was cut"))
            self.cut_after = None if self.cut_after is None else self.cut_after - 1
        return self.answer(command)

    def answer(self, command: Any) -> Any:
        match command:
            case commands.HasFile():
                return depot.look(command)
            case commands.PutPart():
                return depot.put(command)
            case commands.ListFiles():
                assert self.folder is not None
                return commands.FileList(command.owner, command.of, handed.of_export(self.folder))
            case commands.ReadFile():
                assert self.folder is not None
                read = handed.read(self.folder, command.name, command.offset, command.limit)
                return commands.FilePart(read)
            case commands.UndoExport():
                return commands.Done()
        raise AssertionError(command)

    @property
    def parts(self) -> list[commands.PutPart]:
        return [each for each in self.asked if isinstance(each, commands.PutPart)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my rows.jsonl"
    path.write_bytes(DATA)
    return path


async def test_a_file_arrives_as_it_was_under_a_tidy_name_of_its_own_private_to_the_user(file: Path) -> None:
    told: list[tuple[int, int]] = []
    parcel = await push(Wire(), file, lambda done, total: told.append((done, total)))
    path = Path(parcel.path)
    assert path.read_bytes() == DATA
    assert path.name == "my-rows.jsonl"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert told[0] == (0, len(DATA))
    assert told[-1] == (len(DATA), len(DATA))


async def test_what_is_there_already_is_not_sent_again_and_takes_a_second_name(file: Path) -> None:
    await push(Wire(), file, quiet)
    again = Wire()
    parcel = await push(again, file, quiet, "other.csv")
    assert again.parts == []
    assert Path(parcel.path).name == "other.csv"
    assert Path(parcel.path).read_bytes() == DATA


async def test_a_push_that_was_cut_goes_on_at_the_byte_where_it_stopped(file: Path) -> None:
    with pytest.raises(EngineLost):
        await push(Wire(cut_after=2), file, quiet)
    wire = Wire()
    told: list[int] = []
    parcel = await push(wire, file, lambda done, _: told.append(done))
    assert 0 < wire.parts[0].offset == told[0] < len(DATA)
    assert Path(parcel.path).read_bytes() == DATA


async def test_two_clients_that_send_the_same_file_at_once_end_with_one(file: Path) -> None:
    first, second = await asyncio.gather(push(Wire(), file, quiet), push(Wire(), file, quiet))
    assert first == second
    assert Path(first.path).read_bytes() == DATA


async def test_a_file_that_was_spoilt_where_it_lies_is_sent_again(file: Path) -> None:
    parcel = await push(Wire(), file, quiet)
    Path(parcel.path).write_bytes(b"half")
    again = await push(Wire(), file, quiet)
    assert Path(again.path).read_bytes() == DATA


async def test_an_empty_file_travels_too(tmp_path: Path) -> None:
    (tmp_path / "none.txt").touch()
    assert Path((await push(Wire(), tmp_path / "none.txt", quiet)).path).read_bytes() == b""


async def test_bytes_that_are_not_those_of_the_hash_are_refused_and_forgotten(file: Path) -> None:
    wrong = hashlib.sha256(b"another").hexdigest()
    part = commands.PutPart(wrong, 4, 0, b"true", "x.jsonl")
    assert code(lambda: depot.put(part)) == "parcel_damaged"
    assert depot.look(commands.HasFile(wrong, 4)).held == 0


async def test_a_file_that_shrinks_or_is_none_says_so(file: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError) as caught:
        await push(Wire(), tmp_path, quiet)
    assert caught.value.info.code == "file_unreadable"
    wire = Wire(cut_after=1)
    with pytest.raises(EngineLost):
        await push(wire, file, quiet)
    assert Path(tmp_path / "gone.jsonl").exists() is False
    with pytest.raises(EngineError):
        await push(Wire(), tmp_path / "gone.jsonl", quiet)


@pytest.mark.parametrize("name", ["../../up.jsonl", "/etc/cron.d/x", "a\0b", ".hidden", "", "\x1b]0;x\x07"])
async def test_a_hostile_name_becomes_a_harmless_one(name: str, file: Path) -> None:
    place = depot.depot_dir()
    parcel = await push(Wire(), file, quiet, name)
    path = Path(parcel.path)
    assert path.parent.parent == place
    assert is_plain(path.name)
    assert "/" not in tidy(name)


def test_hashes_sizes_and_parts_that_cannot_be_are_refused() -> None:
    good = "ab" * 32
    for bad in ("../../x", "AB" * 32, "ab" * 31, ""):
        assert code(partial(depot.look, commands.HasFile(bad, 1))) == "parcel_wrong"
    assert code(lambda: depot.look(commands.HasFile(good, 1 << 50))) == "parcel_too_large"
    assert code(lambda: depot.put(commands.PutPart(good, 1, 0, b"xx"))) == "parcel_wrong"
    assert code(lambda: depot.put(commands.PutPart(good, PART * 2, 0, bytes(PART + 1)))) == "parcel_wrong"
    assert depot.put(commands.PutPart(good, 9, 5, b"xx")).held == 0  # a gap is not taken


def test_a_full_disk_is_said_in_a_sentence_and_keeps_what_came(monkeypatch: pytest.MonkeyPatch) -> None:
    sha = hashlib.sha256(DATA).hexdigest()
    depot.put(commands.PutPart(sha, len(DATA), 0, DATA[:1000]))
    usage = shutil.disk_usage("/")._replace(free=depot.RESERVE + 10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(EngineError) as caught:
        depot.put(commands.PutPart(sha, len(DATA), 1000, DATA[1000:2000]))
    assert caught.value.info.code == "disk_full"
    assert "MiB are still to come" in caught.value.info.title
    assert depot.look(commands.HasFile(sha, len(DATA))).held == 1000


async def test_old_files_go_unless_a_run_refers_to_them(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.write_bytes(b"{}\n")
    used, unused = [Path((await push(Wire(), each, quiet)).path) for each in (file, other)]
    depot.put(commands.PutPart("cd" * 32, 9, 0, b"part"))
    part = depot.depot_dir() / "incoming" / f"{'cd' * 32}.part"
    long_ago = time.time() - depot.UNUSED - 5
    for path in (used.parent, unused.parent, part):
        os.utime(path, (long_ago, long_ago))
    assert depot.forget([str(used), "shipped:pirate"]) == 2
    assert (used.exists(), unused.exists(), part.exists()) == (True, False, False)


async def test_files_come_into_a_folder_verified_and_a_cut_goes_on(tmp_path: Path) -> None:
    far, here = tmp_path / "far", tmp_path / "here"
    (far / "adapter").mkdir(parents=True)
    (far / "adapter" / "weights.safetensors").write_bytes(DATA)
    (far / "events.jsonl").write_bytes(b"{}\n")
    with pytest.raises(EngineLost):
        await fetch(Wire(far, cut_after=2), "export", "x", here, quiet)
    wire = Wire(far)
    await fetch(wire, "export", "x", here, quiet)
    reads = [each for each in wire.asked if isinstance(each, commands.ReadFile)]
    assert reads[0].offset > 0
    assert (here / "adapter" / "weights.safetensors").read_bytes() == DATA
    assert (here / "events.jsonl").read_bytes() == b"{}\n"
    assert not list(here.rglob("*.part"))
    again = Wire(far)
    await fetch(again, "export", "x", here, quiet)
    assert len(again.asked) == 1  # all of it is there


def test_only_plain_files_of_the_folder_are_listed_and_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text("{}")
    run = tmp_path / "run"
    (run / "adapter").mkdir(parents=True)
    (run / "checkpoints").mkdir()
    for name in (
        "events.jsonl",
        "info.json",
        "adapter/a.safetensors",
        "adapter/evil.py",
        "checkpoints/c.json",
    ):
        (run / name).write_text("x")
    (run / "link.json").symlink_to(secret)
    (run / "up").symlink_to(tmp_path)
    (run / ".hidden.json").write_text("x")
    os.mkfifo(run / "pipe.json")
    assert [each.name for each in handed.of_run(run)] == ["adapter/a.safetensors", "events.jsonl"]
    hostile = (
        "../secret.json",
        "link.json",
        "up/secret.json",
        str(secret),
        "a\0b",
        "",
        "pipe.json",
        ".hidden.json",
    )
    for name in hostile:
        assert code(partial(handed.read, run, name, 0, 10)) == "file_unknown", name
    assert handed.read(run, "events.jsonl", 0, 10) == b"x"


def test_names_that_may_reach_a_disk() -> None:
    assert all(map(is_taken, ("events.jsonl", "adapter/adapter_config.json", "model/tokenizer.json")))
    refused = (
        "../x.json",
        "/x.json",
        "a//b.json",
        "x.py",
        "x.bin",
        "a/b/c/d.json",
        "-x.json",
        "x\n.json",
        "",
    )
    assert not any(map(is_taken, refused))


def test_parts_grow_on_a_fast_line_and_shrink_on_a_slow_one(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("engine.parcels.pacing.time.monotonic", lambda: clock[0])
    parts = Parts()
    for _ in range(10):
        parts.begin()
        clock[0] += 0.01
        parts.end()
    assert parts.size == PART
    for _ in range(10):
        size = parts.begin()
        clock[0] += 0.1 + size / (64 << 10)  # 64 KiB a second, 100 ms away
        parts.end()
    assert (64 << 10) * AIM * 0.5 < parts.size < (64 << 10) * AIM * 1.2


def test_a_folder_is_completed_without_hidden_names_and_not_endlessly(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f"row{number:03}.jsonl").touch()
    (tmp_path / ".secret").touch()
    (tmp_path / "Rows").mkdir()
    (tmp_path / "bad\nname").touch()
    page = folders.names(commands.ListFolder(f"{tmp_path}/"))
    assert len(page.entries) == 200
    assert page.more
    some = folders.names(commands.ListFolder(f"{tmp_path}/row29"))
    assert [each.name for each in some.entries] == [f"row{number}.jsonl" for number in range(290, 300)]
    only = folders.names(commands.ListFolder(f"{tmp_path}/", folders=True))
    assert [(each.name, each.folder) for each in only.entries] == [("Rows", True)]
    for closed in ("/proc/", "/dev/", "relative", f"{tmp_path}/.s", "/nowhere/at/all/", "/\0/"):
        assert folders.names(commands.ListFolder(closed)).entries == ()


async def test_an_export_waits_on_the_engines_side_and_comes_to_its_path_whole_or_not_at_all(
    tmp_path: Path,
) -> None:
    target = exports.placed(collecting.waiting(tmp_path / "my gguf"), "ab12")
    assert Path(target) == exports.exports_dir() / "ab12" / "my-gguf"
    Path(target).mkdir()
    Path(target, "model.gguf").write_bytes(DATA)
    exported = commands.Exported("ab12", "gguf", target)
    with pytest.raises(EngineLost):
        await collecting.collect(
            Wire(exports.folder_of("ab12"), cut_after=1), exported, tmp_path / "my gguf", quiet
        )
    assert list(tmp_path.iterdir()) == []
    wire = Wire(exports.folder_of("ab12"))
    done = await collecting.collect(wire, exported, tmp_path / "my gguf", quiet)
    assert done.path == str(tmp_path / "my gguf")
    assert (tmp_path / "my gguf" / "model.gguf").read_bytes() == DATA
    assert isinstance(wire.asked[-1], commands.UndoExport)
    assert code(partial(collecting.waiting, tmp_path / "my gguf")) == "target_exists"
    for job in ("../x", "a/b", "", ".x"):
        assert code(partial(exports.placed, "exports:x", job)) == "parcel_wrong"
        assert code(partial(exports.folder_of, job)) == "export_unknown"
    assert exports.placed("/data/x.gguf", "ab12") == "/data/x.gguf"
