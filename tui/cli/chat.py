"""`qwill chat`: talk line by line, or with `-p` ask once, stream the answer, leave."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Iterator
from typing import Any

from engine.api import Client, EngineDead, EngineError, EngineLost, commands, connect, events, fault, specs
from tui.cli import chat_input, code, output
from tui.cli.attached import target
from tui.cli.chat_start import begin
from tui.cli.loading import load, may_evict
from tui.cli.options import held
from tui.cli.stream import Live, Quiet, Thoughts

ENDED_WELL = ("stop", "length", "context")


def run(args: argparse.Namespace) -> int:
    """Ask what `-p` says; returns 0 when the reply ended by itself, else 1. Without `-p`, talk until left."""
    if args.jsonl is not None:
        from tui.cli import batch

        return batch.run(args)
    chat_input.look(args)
    if args.prompt is None and not args.json and (args.linear or sys.stdin.isatty()):
        from tui.linear.loop import run as talk

        return talk(args)
    return asyncio.run(_ask(args, chat_input.prompt(args)))


async def _ask(args: argparse.Namespace, prompt: str) -> int:
    client = await connect(target(args), workbench=False)
    try:
        files = await chat_input.attachments(client, args.files)
        chat = await begin(client, args, save=bool(args.save))
        images = await chat_input.bring_images(client, args.images, saved=bool(args.save))
        await load(client, chat.model, dtype=args.dtype, quant=held(args), evict=args.evict)

        async def send(evict: bool) -> commands.Sent:
            sent: commands.Sent = await client.request(commands.Send(chat.id, prompt, evict, files, images))
            return sent

        sent = await may_evict(send, evict=args.evict)
        client, reply = await _to_the_end(client, sent.reply, _printer(args))
    finally:
        await client.close()
    return _report(reply, args)


def _printer(args: argparse.Namespace) -> Quiet:
    """With `-x` nothing but the code is printed; a person at a terminal sees it think."""
    if args.json or (args.extract and not sys.stderr.isatty()):
        return Quiet()
    return Thoughts() if args.extract else Live()


async def _to_the_end(client: Client, reply: specs.Message, printer: Quiet) -> tuple[Client, specs.Message]:
    """The finished reply, and the client that heard of it: the line to a host may drop meanwhile."""
    try:
        while True:
            try:
                return client, await _follow(client, reply, printer)
            except EngineLost as error:
                if not client.host or not error.info.retryable or isinstance(error, EngineDead):
                    raise
                client = await _again(client, error, printer)
            done = await _caught_up(client, reply, printer)
            if done is not None:
                return client, done
    finally:
        printer.close()


async def _again(client: Client, lost: EngineLost, printer: Quiet) -> Client:
    from tui.cli.carrying import again  # only where a line dropped

    if sys.stdout.isatty():
        printer.close()
    await client.close()
    return await again(client.host, lost)


async def _caught_up(client: Client, reply: specs.Message, printer: Quiet) -> specs.Message | None:
    """Print what came while nobody heard it; the reply where it is complete by now."""
    page: commands.ChatPage = await client.request(commands.ReadChat(reply.chat, limit=10))
    known = next((message for message in page.messages if message.id == reply.id), None)
    if known is None:
        raise fault("reply_unfinished", "The engine does not know this reply any more")
    if not known.live:
        printer.finish(known)
        return known
    printer.delta("thinking", 0, known.thinking)
    printer.delta("answer", 0, known.text)
    return None


async def _follow(client: Client, reply: specs.Message, printer: Quiet) -> specs.Message:
    """Hand the reply's text to the printer until it is done; Ctrl+C and a closed pipe stop it."""
    with _ctrl_c_stops(client, reply.id):
        try:
            async for event in client.events():
                body = event.body
                if isinstance(body, events.TextDelta) and body.message == reply.id:
                    printer.delta(body.part, body.offset, body.text)
                elif isinstance(body, events.ReplyDone) and body.message.id == reply.id:
                    printer.finish(body.message)
                    return body.message
        except BrokenPipeError:
            await _stop(client, reply.id)
            raise
    raise fault("reply_unfinished", "The link was closed before the reply ended")


@contextlib.contextmanager
def _ctrl_c_stops(client: Client, reply: str) -> Iterator[None]:
    """The first Ctrl+C ends the reply and keeps its text; the second one leaves at once."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    stops: list[asyncio.Task[None]] = []

    def pressed() -> None:
        if stops and task is not None:
            task.cancel()
        else:
            stops.append(loop.create_task(_stop(client, reply)))

    loop.add_signal_handler(signal.SIGINT, pressed)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)


async def _stop(client: Client, reply: str) -> None:
    """Stop the reply; one that ended meanwhile is fine too."""
    with contextlib.suppress(EngineError):
        await client.request(commands.StopReply(reply))


def _report(reply: specs.Message, args: argparse.Namespace) -> int:
    """Print the JSON line, the code, or what went wrong; returns the exit code."""
    if reply.error is not None:
        output.complain(reply.error, as_json=args.json)
        return 1
    found = code.extract(reply.text, args.extract) if args.extract else ""
    if args.json:
        output.say_json(_summary(reply) | ({"code": found} if args.extract else {}))
        return 0 if reply.finish in ENDED_WELL else 1
    if args.extract:
        _print_code(found)
    if reply.finish in ("length", "context") and sys.stderr.isatty():
        limit = "--max-tokens" if reply.finish == "length" else "the end of the context"
        print(f"qwill: the reply was cut at {limit}.", file=sys.stderr)
    return 0 if reply.finish in ENDED_WELL else 1


def _print_code(found: str) -> None:
    """Exactly as decoded in a pipe, cleaned where a terminal reads it."""
    if sys.stdout.isatty():
        from tui.text import clean

        found = clean(found)
    sys.stdout.write(found if found.endswith("\n") else found + "\n")


def _summary(reply: specs.Message) -> dict[str, Any]:
    """What `--json` prints; texts exactly as decoded."""
    stats = reply.stats or specs.ReplyStats()
    names = ("prompt_tokens", "cached_tokens", "tokens", "thinking_tokens", "ttft_ms", "tokens_per_s")
    mix = reply.settings.adapters if reply.settings else ()
    return {
        "text": reply.text,
        "thinking": reply.thinking,
        "model": reply.model,
        "adapter": reply.adapter,
        **({"adapters": output.plain(mix)} if len(mix) > 1 else {}),
        "finish_reason": reply.finish,
        "stats": {name: getattr(stats, name) for name in names},
    }
