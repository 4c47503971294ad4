"""A race or a sweep: one spec in several variations, judged together. Plain data, no behaviour."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from engine.protocol.command import Command
from engine.protocol.runs import PauseMode, RunState
from engine.protocol.training import TrainSpec

KEEP = 0.5
"""Share of the settings that go on after each judgement, where nobody says."""
Verdict = Literal["", "best", "within noise", "worse", "one seed", "stopped"]
"""How a setting came out beside the best one; see `engine.runs.race_table`. "" before there is a number."""


class RaceMember(msgspec.Struct, frozen=True):
    """One run of a race."""

    run: str
    setting: str
    """What it differs in, seeds left out: members of one setting are judged together."""
    seed: int


class RaceCut(msgspec.Struct, frozen=True):
    """One judgement."""

    share: float
    """Of the budget, 0 to 1, at which it was made."""
    kept: tuple[str, ...]
    """Settings that went on, the best first."""
    stopped: tuple[str, ...]


class RaceInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """Stored beside the runs; the runs themselves are in the list of runs, with `group` as their spec's."""

    group: str
    expression: str
    turns: bool = True
    """Whether members take turns; else they run one after another, and nobody is stopped."""
    keep: float = KEEP
    turn: int = 0
    """Steps of a turn; 0: a few."""
    seconds: float = 0.0
    """Training seconds that each member has; 0: its steps are the budget."""
    scorer: str = ""
    """A command that says how good an adapter is; it is run in `folder`."""
    folder: str = ""
    created: float = 0.0
    members: tuple[RaceMember, ...] = ()
    cuts: tuple[RaceCut, ...] = ()
    scores: dict[str, str] = {}
    """By run: the number that the scorer printed, or `!` and why there is none."""


class RaceRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """One setting. Means over its seeds; None where there is no number."""

    setting: str
    runs: tuple[str, ...]
    """Ids, by seed."""
    states: tuple[RunState, ...]
    step: int = 0
    """The furthest."""
    steps: int = 0
    eval_loss: float | None = None
    """Nats a token, of the last evaluations."""
    spread: float | None = None
    """Sample standard deviation over the seeds; None with fewer than two."""
    verdict: Verdict = ""
    seconds: float | None = None
    """Spent on steps, by one run; waiting for the others is left out."""
    memory: int = 0
    """Bytes that a step took at its highest beside the weights, the most of any seed."""
    adapter_bytes: int = 0
    forgetting: float | None = None
    score: float | None = None
    score_spread: float | None = None
    unscored: str = ""
    """Why there is no score, in a few words."""


class RaceTable(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of a race so far."""

    race: RaceInfo
    rows: tuple[RaceRow, ...]
    """The best first; settings that were stopped follow, the furthest first."""
    over: bool = False
    """Whether every run has ended, and is scored where that was wished."""


class StartRace(Command, frozen=True, tag=True):
    """Store the spec in all variations of `expression` as runs, then let them take turns, or queue them.

    Refuses what StartRun refuses, and `sweep_wrong`, before any run is stored.
    """

    Result: ClassVar[type] = RaceInfo
    spec: TrainSpec
    expression: str
    turns: bool = True
    keep: float = KEEP
    """Share of the settings that go on after each judgement, 0 < keep <= 1; 1 stops nobody."""
    turn: int = 0
    seconds: float = 0.0
    scorer: str = ""
    """Split as a shell would, run without one, for each adapter: `CMD ADAPTER_FOLDER BASE_FOLDER`. The last
    word that it prints is a number."""
    folder: str = ""
    """Where the scorer is run; absolute."""


class ReadRace(Command, frozen=True, tag=True):
    """The table of a race as it stands; an empty group is the newest one."""

    Result: ClassVar[type] = RaceTable
    group: str = ""


class PauseRace(Command, frozen=True, tag=True):
    """Pause every member that has not ended; see PauseRun."""

    Result: ClassVar[type] = RaceInfo
    group: str
    mode: PauseMode = "hold"


class ResumeRace(Command, frozen=True, tag=True):
    """Go on with every paused member."""

    Result: ClassVar[type] = RaceInfo
    group: str


class StopRace(Command, frozen=True, tag=True):
    """Stop every member that has not ended."""

    Result: ClassVar[type] = RaceInfo
    group: str
    save: bool = True
