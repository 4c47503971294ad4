"""Trees out of maps of nodes, as files hold them: with gaps, loops and parents that do not exist."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def rooted(parents: Mapping[str, str | None]) -> dict[str, bool]:
    """For each node whether its parents end at a root; what hangs on a loop does not.

    A parent that is not among the nodes counts as none.
    """
    known: dict[str, bool] = {}
    for node in parents:
        trail: list[str] = []
        seen: set[str] = set()
        at: str | None = node
        while at is not None and at in parents and at not in known and at not in seen:
            seen.add(at)
            trail.append(at)
            at = parents[at]
        good = known.get(at, at not in seen) if at is not None else True
        known.update(dict.fromkeys(trail, good))
    return known


def parents_first(parents: Mapping[str, str | None], order: Sequence[str]) -> list[str]:
    """The rooted nodes, each after its parent, else in this order."""
    good = rooted(parents)
    done: set[str] = set()
    result: list[str] = []
    for node in order:
        chain: list[str] = []
        at: str | None = node
        while at is not None and at in parents and good[at] and at not in done:
            chain.append(at)
            done.add(at)
            at = parents[at]
        result += reversed(chain)
    return result
