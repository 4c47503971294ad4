"""On which side a path lies, and the hosts that have names."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.api import EngineError, runs
from tui import hosts, places
from tui.cli import carrying
from tui.cli.attach import Seen
from tui.outbox import Outbox
from tui.places import Place
from tui.state import Pending, State
from tui.train_form import read, texts


def code(act: object) -> str:
    with pytest.raises(EngineError) as caught:
        act()  # type: ignore[operator]
    return caught.value.info.code


@pytest.mark.parametrize(
    ("host", "called"),
    [
        ("box", "box"),
        ("me@box", "box"),
        ("me@box.lan:22", "box.lan"),
        ("ssh://me@box:22", "box"),
        ("", "there"),
    ],
)
def test_a_host_is_called_as_it_stands_in_its_address(host: str, called: str) -> None:
    assert places.label(host) == called


def test_a_path_names_its_side_by_here_there_or_the_hosts_name() -> None:
    assert places.parse("here:a.jsonl", "me@box") == Place("here", "a.jsonl")
    for typed in ("box:/a", "there:/a", "me@box:/a"):
        assert places.parse(typed, "me@box") == Place("there", "/a")
    assert places.parse("attic:/a", "me@box") == Place("", "attic:/a")
    assert places.parse("box:/a", "") == Place("", "box:/a")


@given(st.text(max_size=40), st.sampled_from(["", "box", "me@box"]))
def test_what_is_said_of_a_path_is_read_back_as_the_same(path: str, host: str) -> None:
    for side in ("here", "there") if host else ():
        assert places.parse(places.say(side, path, host), host) == Place(side, path)  # type: ignore[arg-type]


def test_a_path_without_a_side_means_a_file_here_and_else_says_how_to_write_it() -> None:
    assert places.settle("a", "box", exists=True).side == "here"
    assert places.settle("box:a", "box", exists=False).side == "there"
    assert places.settle("a", "", exists=False).side == "here"
    with pytest.raises(EngineError) as caught:
        places.settle("a.jsonl", "me@box", exists=False)
    assert caught.value.info.code == "place_unknown"
    assert "box:a.jsonl" in caught.value.info.remedy


def test_the_command_line_finds_files_beside_the_run_toml_that_names_them(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").touch()
    assert carrying.sided("a.jsonl", "box", tmp_path) == f"here:{tmp_path}/a.jsonl"
    assert carrying.sided("box:~/a.jsonl", "box", tmp_path) == "there:~/a.jsonl"
    assert carrying.local("here:a.jsonl", tmp_path) == f"{tmp_path}/a.jsonl"
    assert code(lambda: carrying.sided("b.jsonl", "box", tmp_path)) == "place_unknown"


def test_the_train_form_shows_and_reads_the_side(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").touch()
    spec = runs.TrainSpec("demo", "/far/rows.jsonl")
    said = texts(spec, "box")
    assert said["data"] == "box:/far/rows.jsonl"
    assert read(spec, said, "box")[0].data == "/far/rows.jsonl"
    assert texts(spec)["data"] == "/far/rows.jsonl"
    found, faults = read(spec, {**said, "data": str(tmp_path / "a.jsonl")}, "box")
    assert (found.data, faults) == (f"here:{tmp_path}/a.jsonl", {})
    _, faults = read(spec, {**said, "data": str(tmp_path / "b.jsonl")}, "box")
    assert "is not on this machine" in faults["data"]
    assert read(spec, {**said, "data": "shipped:pirate"}, "box")[0].data == "shipped:pirate"


def test_hosts_are_kept_with_the_comments_around_them() -> None:
    hosts.add("gpu", "me@gpu.lan")
    hosts.path().write_text("# mine\n" + hosts.path().read_text())
    hosts.add("attic", "attic")
    hosts.add("gpu", "you@gpu.lan")
    assert hosts.load() == {"attic": "attic", "gpu": "you@gpu.lan"}
    assert hosts.path().read_text().startswith("# mine\n")
    assert hosts.path().stat().st_mode & 0o077 == 0
    assert (hosts.resolve("gpu"), hosts.resolve("other"), hosts.resolve("")) == ("you@gpu.lan", "other", "")
    assert (hosts.called("you@gpu.lan"), hosts.called("me@box")) == ("gpu", "box")
    assert hosts.remove("gpu") == "you@gpu.lan"
    assert hosts.load() == {"attic": "attic"}


@pytest.mark.parametrize("name", ["", "here", "hub", "Marked", "a b", "a/b", "-a", "a" * 41, "a\n[x]", "é"])
def test_a_name_that_a_path_could_begin_with_is_refused(name: str) -> None:
    assert code(lambda: hosts.add(name, "box")) == "host_name"


@pytest.mark.parametrize("address", ["", "-oProxyCommand=x", "a b", "me@-x", "box;reboot", "$(x)", "a\nb"])
def test_an_address_that_ssh_could_read_as_something_else_is_refused(address: str) -> None:
    assert code(lambda: hosts.add("box", address)) == "host_name"
    assert not hosts.path().exists()


@pytest.mark.parametrize(
    "text", ["x", "[box]\n", "[box]\naddress = 3\n", '[here]\naddress = "x"\n', "box = 1\n"]
)
def test_a_broken_list_of_hosts_is_told_and_never_written_over(text: str) -> None:
    hosts.path().write_text(text)
    assert code(hosts.load) == "hosts_unreadable"
    assert code(lambda: hosts.add("attic", "attic")) == "hosts_unreadable"
    assert hosts.path().read_text() == text
    assert hosts.known() == {}
    assert code(lambda: hosts.remove("nobody")) == "hosts_unreadable"


def test_where_a_run_was_left_is_known_to_whoever_attaches_again() -> None:
    run = runs.RunInfo("0007-tin", runs.TrainSpec("demo", "x"), created=5.0)
    Seen("box", run).note(12, last=True)
    assert Seen("box", run).step() == 12
    assert Seen("", run).step() == 0
    for number in range(150):
        Seen("box", runs.RunInfo(f"{number:04}-x", run.spec)).note(1, last=True)
    assert Seen("box", run).step() == 0


def test_what_was_on_its_way_to_one_place_is_not_sent_to_another() -> None:
    state = State()
    state.pending.append(Pending("for the box", ""))
    Outbox("box").keep(state)
    assert Outbox("").left_behind() == []
    [letters] = Outbox("box").left_behind()
    assert [each.text for each in letters.pending] == ["for the box"]
    assert Outbox("box").left_behind() == []


def test_the_grammar_knows_what_is_done_with_places() -> None:
    from tui.cli.parser import build_parser

    parser = build_parser()
    pulled = parser.parse_args(["--host", "box", "runs", "pull", "7", "-o", "d", "--json"])
    assert (pulled.host, pulled.action, pulled.run, pulled.output, pulled.json) == (
        "box",
        "pull",
        "7",
        "d",
        True,
    )
    attached = parser.parse_args(["runs", "attach"])
    assert (attached.run, attached.all) == ("", False)
    setup = parser.parse_args(["--host", "box", "setup", "--torch", "rocm", "--dry-run"])
    assert isinstance(setup, argparse.Namespace)
    assert (setup.torch, setup.dry_run, setup.python) == ("rocm", True, "")
