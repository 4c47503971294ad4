"""`qwill runs`: pause, resume, order, rename, do again, checkpoints, tidy up."""

from __future__ import annotations

import argparse

from engine.api import Client, commands, runs
from tui.cli import output
from tui.cli.run_page import standing
from tui.cli.run_rows import loss, row
from tui.cli.train import pairs
from tui.format import clock, plural, size


async def steer(client: Client, info: runs.RunInfo, args: argparse.Namespace) -> int:
    """Do one action with a run, and say how it stands then."""
    if args.action == "checkpoints":
        return await _checkpoints(client, info, args)
    if args.action == "rerun":
        return await _rerun(client, info, args)
    after: runs.RunInfo = await client.request(_command(info, args))
    if args.json:
        output.say_json(row(after))
    else:
        output.say(_words(after, args))
    return 0


def _command(info: runs.RunInfo, args: argparse.Namespace) -> commands.Command:
    match args.action:
        case "pause":
            return commands.PauseRun(info.id, args.mode)
        case "resume":
            return commands.ResumeRun(info.id)
        case "move":
            return commands.MoveRun(info.id, args.place)
        case "now":
            return commands.RunNow(info.id)
        case "rename":
            return commands.ChangeRun(info.id, name=args.name)
        case "tag":
            return commands.ChangeRun(info.id, tags=tuple(args.tags))
        case "note":
            return commands.ChangeRun(info.id, note=args.note)
        case _:
            changes = pairs(args.changes)
            return commands.DuplicateRun(info.id, changes, idle=args.when_idle, hold=args.hold)


def _words(info: runs.RunInfo, args: argparse.Namespace) -> str:
    match args.action:
        case "pause" if info.state == "running":
            return f"{info.id} pauses after its present step."
        case "rename":
            return f"{info.id} is called {info.name} now."
        case "tag":
            return (
                f"{info.id} has the tags {', '.join(info.tags)}." if info.tags else f"{info.id} has no tags."
            )
        case "note":
            return f"The note of {info.id} is kept."
        case _:
            return f"{info.id} is {standing(info)}."


async def _rerun(client: Client, info: runs.RunInfo, args: argparse.Namespace) -> int:
    done: commands.Rerun = await client.request(commands.RerunRun(info.id, strict=args.strict))
    if args.json:
        output.say_json(row(done.run) | {"unmatched": list(done.unmatched)})
        return 0
    output.say(f"{done.run.id} is {standing(done.run)}.")
    for sentence in done.unmatched:
        output.say(f"Not the same here: {sentence}.")
    return 0


async def _checkpoints(client: Client, info: runs.RunInfo, args: argparse.Namespace) -> int:
    """1 when one of them cannot be used."""
    found: commands.CheckpointList = await client.request(
        commands.ListCheckpoints(info.id, verify=args.verify)
    )
    broken = [each for each in found.checkpoints if each.why]
    if args.json:
        output.say_json([output.plain(each) for each in found.checkpoints])
    elif not found.checkpoints:
        output.say(f"{info.id} has no checkpoints.")
    else:
        rows = [
            (
                str(each.step),
                size(each.bytes_on_disk),
                loss(each.eval_loss),
                "best" if each.best else "",
                clock(each.created) if each.created else "",
                each.adapter,
            )
            for each in found.checkpoints
        ]
        output.table([("step", "size", "eval", "", "saved", "chat with"), *rows], right=(0, 1, 2))
        for each in broken:
            output.say(each.why)
    return 1 if broken else 0


async def prune(client: Client, args: argparse.Namespace) -> int:
    """Delete what nothing needs, or say what it would be."""
    done: commands.Pruned = await client.request(commands.PruneRuns(dry_run=args.dry_run))
    if args.json:
        output.say_json(output.plain(done))
        return 0
    if done.items:
        rows = [(each.run, each.kind, size(each.bytes_on_disk), each.why) for each in done.items]
        output.table([("run", "what", "size", "why"), *rows], right=(2,))
    verb = "would go" if args.dry_run else "went"
    output.say(f"{plural(len(done.items), 'folder')} {verb}: {size(done.bytes_on_disk)}.")
    return 0
