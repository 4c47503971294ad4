"""Where a path lies while the engine is on another machine: `here:` or there, as typed and said. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.api import fault

Side = Literal["here", "there"]
HERE = "here"
THERE = "there"


@dataclass(frozen=True)
class Place:
    """A path and the machine that it lies on; no side was named where it is empty."""

    side: Side | Literal[""]
    path: str


def label(host: str) -> str:
    """What a host is called in front of a path: `box` of `me@box.lan:22` and of `ssh://me@box`."""
    name = host.removeprefix("ssh://").rpartition("@")[2]
    if name.startswith("["):  # an IPv6 address in brackets
        return name[1:].partition("]")[0].partition(":")[0] or THERE
    return name.partition(":")[0].partition("/")[0] or THERE


def parse(text: str, host: str, called: str = "") -> Place:
    """`here:rows.jsonl`, `there:rows.jsonl`, `box:rows.jsonl`, or a path alone.

    `called`: the host's name here, beside its address. Without a host only `here:` means anything; another
    file may well be called `box:x`.
    """
    head, colon, rest = text.partition(":")
    if colon and head == HERE:
        return Place("here", rest)
    names = (THERE, called or label(host), label(host), host.rpartition("@")[2], host)
    if colon and host and head in names:
        return Place("there", rest)
    # An address has colons of its own.
    if host and text.startswith(f"{host}:"):
        return Place("there", text[len(host) + 1 :])
    return Place("", text)


def of_here(typed: str) -> str:
    """A path of this machine without its `here:`."""
    return typed.removeprefix(f"{HERE}:")


def say(side: Side, path: str, host: str) -> str:
    """The path as it is shown: with its side where there are two."""
    if not host:
        return path
    return f"{HERE if side == 'here' else label(host)}:{path}"


def typed(data: str, host: str) -> str:
    """What the engine reads, as it is typed: a path there with its side."""
    return f"{label(host)}:{data}" if host and data.startswith(("/", "~")) else data


def settle(text: str, host: str, *, exists: bool, called: str = "") -> Place:
    """The side of what was typed: the one it names, else here where it `exists` here.

    Raises EngineError `place_unknown` for what is named without a side and is not here.
    """
    place = parse(text, host, called)
    if place.side or not host:
        return place if place.side else Place("here", place.path)
    if exists:
        return Place("here", place.path)
    there = called or label(host)
    raise fault(
        "place_unknown",
        f"{text} is not on this machine",
        f"The engine is on {there}, and a path without a side means a file here",
        f"Check the path, or write {there}:{text} if it lies there",
    )
