"""`qwill runs memory`: one run by its phases and parts, several side by side, and the same as JSON."""

from __future__ import annotations

import argparse
import json
from typing import Any

import pytest

from engine.api import Client, commands, memory, runs
from engine.protocol.memory_history import MemoryPoint
from tests.support.fake_runs import run_info
from tui.cli.main import USAGE, main
from tui.cli.parser import build_parser
from tui.cli.run_memory import Memory, ratio, run

GIB = 1 << 30


def page(top: int, pool: str = "gpu0.vram") -> commands.MemoryPage:
    points = [MemoryPoint(float(at), ours=top // 2, least=top // 2, most=top // 2) for at in range(1, 200)]
    points[77] = MemoryPoint(78.0, ours=top // 2, least=top // 4, most=top)
    marks = (
        runs.PhaseMark("load", 1.0, memory=top // 8),
        runs.PhaseMark("train", 5.0, 1, memory=top // 4, peak=top // 2),
        runs.PhaseMark("eval", 9.0, 5, memory=top // 4, peak=top),
        runs.PhaseMark("end", 9.5, 5, memory=top // 4, peak=top // 3),
    )
    held = (
        memory.Holding("model", top // 2, "demo", pool),
        memory.Holding("activations", top // 4, pool=pool),
        memory.Holding("activations", top // 8, pool=pool),
    )
    return commands.MemoryPage(tuple(points), marks, pool, held)


class Desk:
    """A client whose engine knows a few runs."""

    def __init__(self, **pages: commands.MemoryPage) -> None:
        self.infos = [
            run_info(number, id=f"{number:04}-{name}", name=name) for number, name in enumerate(pages, 1)
        ]
        self.pages = {info.id: pages[info.name] for info in self.infos}

    async def request(self, command: Any) -> Any:
        match command:
            case commands.ListRuns():
                return commands.RunList(tuple(self.infos))
            case commands.ReadRun():
                info = next(each for each in self.infos if command.run in (each.id, each.name))
                return commands.RunPage(info, (), ())
            case _:
                return self.pages[command.run]


async def said(desk: Desk, capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    args: argparse.Namespace = build_parser().parse_args(["runs", "memory", *argv])
    client: Client = desk  # type: ignore[assignment]
    assert await run(client, args) == 0
    return capsys.readouterr().out


async def test_one_run_by_phase_and_part(capsys: pytest.CaptureFixture[str]) -> None:
    out = await said(Desk(full=page(32 * GIB)), capsys, "full")
    lines = out.splitlines()
    assert "█" in lines[0]  # the spike of one second among two hundred
    assert lines[0].endswith("32.0 G of VRAM of gpu0 at most")
    table = {line.split()[0]: line.split()[1:] for line in lines if line.split()[1:]}
    assert table["load"] == ["16.0", "G"]
    assert table["train"] == ["32.0", "G"]
    assert table["eval"] == ["10.7", "G"]
    assert table["activations"] == ["12.0", "G"]
    assert "cache" not in table


async def test_full_precision_against_4_bit(capsys: pytest.CaptureFixture[str]) -> None:
    out = await said(Desk(full=page(32 * GIB), nf4=page(8 * GIB)), capsys, "full", "nf4", "full")
    assert out.count("full: ") == 1  # named twice, shown once
    assert "nf4 held 8.0 G at most, 0.25 times the 32.0 G of full." in out
    rows = [line.split() for line in out.splitlines()]
    assert ["phase", "full", "nf4"] in rows
    assert ["train", "32.0", "G", "8.0", "G"] in rows
    assert ["model", "16.0", "G", "4.0", "G"] in rows


async def test_json_has_every_point(capsys: pytest.CaptureFixture[str]) -> None:
    out = await said(
        Desk(full=page(GIB, "ram"), none=commands.MemoryPage()), capsys, "full", "none", "--json"
    )
    first, second = json.loads(out)["runs"]
    assert (first["id"], first["pool"], first["peak"]) == ("0001-full", "ram", GIB)
    assert first["phases"] == {"load": GIB // 2, "train": GIB, "eval": GIB // 3}
    assert len(first["points"]) == 199
    assert first["points"][77]["most"] == GIB
    assert {each["part"] for each in first["holdings"]} == {"model", "activations"}
    assert (second["peak"], second["points"], second["phases"]) == (0, [], {})


async def test_a_run_without_memory_on_record_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert await said(Desk(a=commands.MemoryPage()), capsys, "a") == "0001-a has no memory on record yet.\n"
    one, two = (Memory(run_info(number), commands.MemoryPage()) for number in (1, 2))
    assert "no memory on record" in ratio(one, two)


def test_it_wants_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "memory"]) == USAGE
    assert "RUN" in capsys.readouterr().err
