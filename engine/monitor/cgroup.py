"""What the control group of the engine may use: in a container less than the machine has."""

from __future__ import annotations

from typing import NamedTuple

from engine.monitor.files import Files, Unreadable, number, word_of
from engine.monitor.ram import read_pressure
from engine.protocol.memory import Pressure


class Layout(NamedTuple):
    """Names of one version's files (kernel docs, admin-guide/cgroup-v2 and cgroup-v1/memory)."""

    mount: str
    limit: str
    used: str
    droppable: str
    """In memory.stat: pages of files that the kernel would drop first."""
    kills: tuple[str, str]
    """The file and its key."""


V2 = Layout("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file", ("memory.events", "oom_kill"))
V1 = Layout(
    "/sys/fs/cgroup/memory",
    "memory.limit_in_bytes",  # nearly 2^63 where there is none
    "memory.usage_in_bytes",
    "total_inactive_file",
    ("memory.oom_control", "oom_kill"),
)
NONE = "9223372036854771712"
"""No limit, in version 1: 2^63 less a page."""
DEEPEST = 32
"""Groups above ours that are looked at."""


class Group(NamedTuple):
    """The group among ours and those above it whose limit is the lowest. Bytes; None is unknown, or none.

    Memory that a GPU borrows (GTT) is charged to no group.
    """

    path: str = ""
    limit: int | None = None
    """memory.max: beyond it the kernel kills."""
    high: int | None = None
    """memory.high, the lowest one: beyond it the kernel slows its processes down."""
    used: int | None = None
    """memory.current without the pages of files that the kernel would drop first (inactive_file)."""
    swap: int | None = None
    """memory.swap.current"""
    kills: int | None = None
    """memory.events, oom_kill: processes that the kernel has killed there."""
    pressure: Pressure | None = None
    """memory.pressure of our own group."""
    whys: dict[str, str] = {}
    """Why a number is unknown, by the field's name in MonitorSample."""


def read_group(files: Files, pid: int) -> Group:
    """The limits that hold for a process. Never raises."""
    whys: dict[str, str] = {}
    layout, paths = group_paths(files, pid, whys)
    if not paths:
        return Group(whys=whys)
    limits = [(limit, path) for path in paths if (limit := _limit(files, f"{path}/{layout.limit}", whys))]
    highs = [high for path in paths if (high := _limit(files, f"{path}/memory.high", {}))]
    pressure = read_pressure(files, f"{paths[0]}/memory.pressure", {})
    if not limits:
        return Group(paths[0], high=min(highs, default=None), pressure=pressure, whys=whys)
    limit, path = min(limits, key=lambda each: each[0])
    return Group(
        path,
        limit=limit,
        high=min(highs, default=None),
        used=_used(files, layout, path, whys),
        swap=_maybe(files, f"{path}/memory.swap.current"),
        kills=_table(files, f"{path}/{layout.kills[0]}").get(layout.kills[1]),
        pressure=pressure,
        whys=whys,
    )


def group_paths(files: Files, pid: int, whys: dict[str, str]) -> tuple[Layout, list[str]]:
    """Folders of the group of a process and of those above it, its own first; none without groups."""
    try:
        lines = files.read(f"/proc/{pid}/cgroup").decode("utf-8", "replace").splitlines()
    except FileNotFoundError:  # no Linux, or the process ended
        return V2, []
    except OSError as error:
        whys["limit"] = f"/proc/PID/cgroup: {word_of(error)}"
        return V2, []
    old = files.exists(V1.mount)  # the controller of memory is of one version only
    layout = V1 if old else V2
    groups = (line.split(":", 2) for line in lines if line.count(":") > 1)
    own = next((path for _, kind, path in groups if ("memory" in kind.split(",") if old else not kind)), None)
    if own is None or not (old or files.exists(f"{V2.mount}/cgroup.controllers")):
        return layout, []
    # A group outside of the container shows as `/../..` in it: the mount's root is what can be seen.
    parts = [part for part in own.split("/") if part not in ("", ".", "..")]
    paths = ["/".join([layout.mount, *parts[:count]]) for count in range(len(parts), -1, -1)]
    return layout, paths[:DEEPEST]


def _limit(files: Files, path: str, whys: dict[str, str]) -> int | None:
    """None: there is none, `max`, or it cannot be read. The root group has no such file."""
    try:
        text = files.line(path)
        return None if text in ("max", NONE) else number(text)
    except FileNotFoundError:
        return None
    except OSError as error:
        whys["limit"] = f"{path}: {word_of(error)}"
    except Unreadable as why:
        whys["limit"] = f"{path}: {why}"
    return None


def _used(files: Files, layout: Layout, path: str, whys: dict[str, str]) -> int | None:
    try:
        current = files.number(f"{path}/{layout.used}")
    except Unreadable as why:
        whys["limit_used"] = f"{path}/{layout.used}: {why}"
        return None
    return max(0, current - _table(files, f"{path}/memory.stat").get(layout.droppable, 0))


def _maybe(files: Files, path: str) -> int | None:
    try:
        return files.number(path)
    except Unreadable:
        return None


def _table(files: Files, path: str) -> dict[str, int]:
    """Lines `key number`; those that are not are passed over."""
    found: dict[str, int] = {}
    try:
        lines = files.read(path).decode("ascii", "replace").splitlines()
    except OSError:
        return found
    for line in lines:
        key, _, text = line.partition(" ")
        try:
            found[key] = number(text.strip())
        except Unreadable:
            continue
    return found
