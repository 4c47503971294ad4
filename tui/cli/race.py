"""`qwill race`: start a race or a sweep, follow it, steer it as a whole, and show its table."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from typing import TYPE_CHECKING

from msgspec.structs import replace

from engine.api import Client, commands, events, fault, runs
from tui.cli import output
from tui.cli.attached import attached
from tui.cli.carrying import attached_with, carried_spec
from tui.cli.parser_race import ACTIONS
from tui.cli.run_rows import loss, progress
from tui.cli.train import wanted
from tui.format import plural

if TYPE_CHECKING:
    from tui.run_export import TableForm

SPEC = ".toml"


def run(args: argparse.Namespace) -> int:
    """0: done; with --follow: every member has ended and none has failed."""
    if args.words[0] in ACTIONS:
        if len(args.words) > 2:
            raise fault("usage", f"{args.words[0]} takes one race", remedy="Say its name, e.g. race-1")
        return asyncio.run(_act(args, args.words[0], *args.words[1:]))
    if args.in_process and not args.follow:
        raise fault("usage", "With --in-process the race would end at once", remedy="Add --follow")
    files = [word for word in args.words if "=" not in word and word.endswith(SPEC)]
    args.spec = files[0] if files else ""
    varied = [word for word in args.words if word not in files]
    if len(files) > 1 or not varied:
        raise fault(
            "usage", "Say what is varied", remedy='Write for example "method=lora,dora r=8,16 seeds=2"'
        )
    return asyncio.run(_start(args, wanted(args), " ".join(varied)))


async def _start(args: argparse.Namespace, wish: runs.TrainSpec, expression: str) -> int:
    async with attached_with(args, lambda client: carried_spec(client, wish)) as (client, spec):
        if not spec.model:
            spec = replace(spec, model=client.welcome.snapshot.default_model)
        race: commands.RaceInfo = await client.request(
            commands.StartRace(
                spec,
                expression,
                turns=not args.queue,
                keep=args.keep,
                turn=args.turns,
                seconds=args.seconds,
                scorer=args.scorer,
                folder=os.getcwd() if args.scorer else "",
            )
        )
        if args.json:
            output.say_json({"group": race.group, "runs": [each.run for each in race.members]})
        else:
            output.say(f"{race.group}: {plural(len(race.members), 'run')}")
        sys.stdout.flush()
        return await _follow(client, race, args) if args.follow else 0


async def _act(args: argparse.Namespace, action: str, group: str = "") -> int:
    async with attached(args) as client:
        if action == "show":
            table: commands.RaceTable = await client.request(commands.ReadRace(group))
            if args.follow and not table.over:
                return await _follow(client, table.race, args)
            show(table, args)
            return 0
        if not group:
            table = await client.request(commands.ReadRace())
            group = table.race.group
        kinds = {"pause": commands.PauseRace, "resume": commands.ResumeRace, "stop": commands.StopRace}
        race: commands.RaceInfo = await client.request(kinds[action](group))
        if args.json:
            output.say_json({"group": race.group, "asked": action})
        else:
            words = {"pause": "stands still after its steps", "resume": "goes on", "stop": "ends"}
            output.say(f"{race.group} {words[action]}.")
        return 0


async def _follow(client: Client, race: commands.RaceInfo, args: argparse.Namespace) -> int:
    """Tell evaluations and ends until all is over; Ctrl+C leaves the race alone."""
    table: commands.RaceTable = await client.request(commands.ReadRace(race.group))
    told: dict[str, tuple[str, float | None]] = {}
    mine = {each.run for each in race.members}
    stream = client.events()
    while not table.over:
        body = (await anext(stream)).body
        if not isinstance(body, events.RunChanged) or body.run.id not in mine:
            continue
        info = body.run
        if told.get(info.id) != (info.state, info.eval_loss):
            told[info.id] = info.state, info.eval_loss
            _tell(info, as_json=args.json)
        if info.state in runs.ENDED_STATES:
            table = await client.request(commands.ReadRace(race.group))
    show(table, args)
    return 1 if any("failed" in row.states for row in table.rows) else 0


def _tell(info: runs.RunInfo, *, as_json: bool) -> None:
    if as_json:
        facts = {"run": info.id, "name": info.name, "state": info.state, "step": info.step}
        output.say_json(facts | {"steps": info.steps, "eval_loss": info.eval_loss})
    else:
        lost = [each.title for each in info.findings if each.code == "race_lost"]
        why = f"  {lost[-1]}" if lost and info.state == "stopped" else ""
        print(output.line(f"{info.id}  {info.state}  {progress(info)}  eval {loss(info.eval_loss)}{why}"))
    sys.stdout.flush()


def show(table: commands.RaceTable, args: argparse.Namespace) -> None:
    """Print the table in the form that was asked for."""
    if args.json:
        output.say_json(output.plain(table))
        return
    from tui.race_cells import NUMBERS, headline, note, rows_of, text_of  # what cleans text is slow to import

    form: TableForm | None = "markdown" if args.md else "csv" if args.csv else "latex" if args.latex else None
    if form is not None:
        print(text_of(table, form), end="")  # its cells are clean already
    else:
        output.say(f"{table.race.group}: {headline(table)}")
        output.table(rows_of(table), right=NUMBERS)
        if words := note(table):
            output.say(words)
