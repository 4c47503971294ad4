"""The engine's processes: which they are, what is resident of them, what CPU time they took."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import psutil

from engine.monitor.files import BOUND, Files, Unreadable, number, word_of

PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
"""The kernel's unit of CPU time, a second."""
_PAGES = BOUND // PAGE
MOST = 256
"""Processes of ours that are looked at."""
SHORTEST = 0.2
"""Seconds over which a CPU share is taken at least."""


class Usage(NamedTuple):
    """All of ours together. Bytes."""

    pids: tuple[int, ...]
    rss: int
    mapped: int
    """Of `rss`: pages of files."""
    cores: float
    """CPU time a second since the sample before: 2.0 is two cores full."""
    why: str = ""
    """Why `rss` lacks the engine itself."""


class Processes:
    """The process `pid` and all below it. Uses /proc, and psutil where there is none."""

    def __init__(self, files: Files, pid: int) -> None:
        self._files = files
        self._pid = pid
        self._linux = files.exists("/proc/self") or files.exists(f"/proc/{pid}")
        self._spent: dict[tuple[int, int], float] = {}
        self._at = time.monotonic()
        self._cores = 0.0
        self._pids: tuple[int, ...] = (pid,)
        self._why = ""
        self._count()

    @property
    def pids(self) -> tuple[int, ...]:
        """As of the last look."""
        return self._pids

    def look(self) -> Usage:
        """Never raises; a process that is gone counts nothing."""
        rss, mapped, spent = self._count()
        now = time.monotonic()
        elapsed = now - self._at
        # The kernel counts CPU time in ticks of 10 ms: over a shorter stretch a share means nothing.
        if elapsed >= SHORTEST:
            used = sum(max(0.0, seconds - self._spent.get(who, 0.0)) for who, seconds in spent.items())
            self._cores = min(used / elapsed, float(os.cpu_count() or 1))
            # One that could not be read now is no new one when it can be read again.
            kept = self._spent if len(self._spent) < MOST * 4 else {}
            self._spent, self._at = kept | spent, now
        return Usage(self._pids, rss, mapped, self._cores, self._why)

    def resident(self) -> int:
        """Bytes, of the processes that the last look found."""
        if not self._linux:
            return sum(_resident(pid) for pid in self._pids)
        return sum(self._pages(pid)[0] for pid in self._pids) * PAGE

    def _count(self) -> tuple[int, int, dict[tuple[int, int], float]]:
        if not self._linux:
            return self._count_elsewhere()
        self._pids = self._family()
        resident, mapped, spent = 0, 0, {}
        for pid in self._pids:
            pages, of_files = self._pages(pid)
            resident, mapped = resident + pages, mapped + of_files
            if (times := self._times(pid)) is not None:
                seconds, began = times
                # The same number at another start is another process: its time is not the first one's.
                spent[pid, began] = seconds
        if not self._spent:
            self._spent = spent
        return resident * PAGE, mapped * PAGE, spent

    def _family(self) -> tuple[int, ...]:
        task = f"/proc/{self._pid}/task/{self._pid}"
        if self._files.exists(task) and not self._files.exists(f"{task}/children"):
            return self._family_by_parents()
        found: list[int] = []
        waiting = deque([self._pid])
        while waiting and len(found) < MOST:
            pid = waiting.popleft()
            found.append(pid)
            waiting.extend(self._children(pid))
        return tuple(found)

    def _family_by_parents(self) -> tuple[int, ...]:
        """Of a kernel without CONFIG_PROC_CHILDREN: by a look at all processes."""
        children: dict[int, list[int]] = {}
        try:
            names = self._files.names("/proc")
        except OSError:
            names = []
        for name in filter(str.isdecimal, names):
            words = self._text(f"/proc/{name}/stat").rpartition(")")[2].split()
            if len(words) > 1 and words[1].isdecimal():
                children.setdefault(int(words[1]), []).append(int(name))
        found = [self._pid]
        for pid in found:
            found += [child for child in children.get(pid, ()) if child not in found][: MOST - len(found)]
        return tuple(found)

    def _children(self, pid: int) -> list[int]:
        """Of all its threads (man 5 proc, /proc/PID/task/TID/children)."""
        try:
            tasks = self._files.names(f"/proc/{pid}/task")
        except OSError:
            return []
        found: list[int] = []
        for task in tasks:
            words = self._words(f"/proc/{pid}/task/{task}/children")
            found += [int(word) for word in words if word.isdecimal() and len(word) < 10]
        return found

    def _pages(self, pid: int) -> tuple[int, int]:
        path = f"/proc/{pid}/statm"
        why = ""
        try:
            words = self._files.line(path).split()
            return number(words[1], _PAGES), number(words[2], _PAGES)
        except OSError as error:
            why = word_of(error)
        except (IndexError, Unreadable) as error:
            why = str(error) if isinstance(error, Unreadable) else "no number"
        finally:
            if pid == self._pid:
                self._why = f"{path}: {why}" if why else ""
        return 0, 0

    def _times(self, pid: int) -> tuple[float, int] | None:
        """(CPU seconds, start in ticks after boot); None where it cannot be read."""
        # The name, in parentheses, may hold spaces and parentheses itself.
        words = self._text(f"/proc/{pid}/stat").rpartition(")")[2].split()
        try:
            user, system, began = (number(words[at]) for at in (11, 12, 19))
        except (IndexError, Unreadable):
            return None
        return (user + system) / TICKS, began

    def _words(self, path: str) -> list[str]:
        return self._text(path).split()

    def _text(self, path: str) -> str:
        try:
            return self._files.read(path).decode("ascii", "replace")
        except OSError:
            return ""

    def _count_elsewhere(self) -> tuple[int, int, dict[tuple[int, int], float]]:
        rss, spent, pids = 0, {}, []
        for process in _family_elsewhere(self._pid):
            try:
                with process.oneshot():
                    times = process.cpu_times()
                    rss += process.memory_info().rss
            except psutil.Error:  # it ended between the two looks
                continue
            spent[process.pid, 0] = times.user + times.system
            pids.append(process.pid)
        self._pids = tuple(pids) or (self._pid,)
        if not self._spent:
            self._spent = spent
        return rss, 0, spent


def read_pss(files: Files, pids: Sequence[int]) -> int:
    """Bytes: resident pages, those shared with others by their share (smaps_rollup, Pss).

    The kernel walks all page tables for it: not to be asked often. Raises OSError, Unreadable.
    """
    whole = 0
    for pid in pids:
        try:
            lines = files.read(f"/proc/{pid}/smaps_rollup").decode("ascii", "replace").splitlines()
        except (FileNotFoundError, ProcessLookupError):
            if pid == pids[0]:
                raise
            continue  # a child that ended
        pss = next((line.split()[1:2] for line in lines if line.startswith("Pss:")), [""])
        whole += number(pss[0] if pss else "") << 10
    return whole


def _family_elsewhere(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def _resident(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
