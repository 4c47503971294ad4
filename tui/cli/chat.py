"""`qwill chat`: ask once, stream the answer, leave."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Iterator
from typing import Any

from engine.api import Client, EngineError, Target, commands, connect, events, fault, specs
from tui.cli import output
from tui.cli.adapters import adapter_name, all_adapters, check_fit, find
from tui.cli.loading import load, may_evict, model_name
from tui.cli.stream import Live, Quiet

ENDED_WELL = ("stop", "length", "context")


def run(args: argparse.Namespace) -> int:
    """Ask what `-p` says; returns 0 when the reply ended by itself, else 1."""
    return asyncio.run(_ask(args, _prompt(args)))


async def _ask(args: argparse.Namespace, prompt: str) -> int:
    client = await connect(Target(in_process=args.in_process), workbench=False)
    try:
        wanted, adapter = await _who(client, args)
        model = await load(client, wanted, dtype=args.dtype, evict=args.evict)
        settings = _settings(args, adapter)
        chat: specs.ChatInfo = await client.request(commands.NewChat(model.id, settings, saved=args.save))

        async def send(evict: bool) -> commands.Sent:
            sent: commands.Sent = await client.request(commands.Send(chat.id, prompt, evict))
            return sent

        sent = await may_evict(send, evict=args.evict)
        printer = Quiet() if args.json else Live()
        reply = await _follow(client, sent.reply, printer)
    finally:
        await client.close()
    return _report(reply, as_json=args.json)


async def _who(client: Client, args: argparse.Namespace) -> tuple[str, str]:
    """(model, id of the adapter): an adapter without a model is asked on its base.

    Raises EngineError before anything is loaded when the two do not go together.
    """
    wanted = model_name(args.model) if args.model else ""
    if not args.adapter:
        return wanted or client.welcome.snapshot.default_model, ""
    model = await client.request(commands.ShowModel(wanted)) if wanted else None
    known, ref = await all_adapters(client), adapter_name(args.adapter)
    if ref.startswith("/") and all(ref not in (info.id, info.path) for info in known):
        return wanted or client.welcome.snapshot.default_model, ref  # the engine looks into the folder
    adapter = find(known, args.adapter, model.id if model else "")
    if model is None:
        base = adapter.base or client.welcome.snapshot.default_model
        model = await client.request(commands.ShowModel(base))
    check_fit(adapter, model)
    return model.id, adapter.id


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
        finally:
            printer.close()
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


def _report(reply: specs.Message, *, as_json: bool) -> int:
    """Print the JSON line or what went wrong; returns the exit code."""
    if reply.error is not None:
        output.complain(reply.error, as_json=as_json)
        return 1
    if as_json:
        output.say_json(_summary(reply))
    elif reply.finish in ("length", "context") and sys.stderr.isatty():
        limit = "--max-tokens" if reply.finish == "length" else "the end of the context"
        print(f"qwill: the reply was cut at {limit}.", file=sys.stderr)
    return 0 if reply.finish in ENDED_WELL else 1


def _summary(reply: specs.Message) -> dict[str, Any]:
    """What `--json` prints; texts exactly as decoded."""
    stats = reply.stats or specs.ReplyStats()
    names = ("prompt_tokens", "cached_tokens", "tokens", "thinking_tokens", "ttft_ms", "tokens_per_s")
    return {
        "text": reply.text,
        "thinking": reply.thinking,
        "model": reply.model,
        "adapter": reply.adapter,
        "finish_reason": reply.finish,
        "stats": {name: getattr(stats, name) for name in names},
    }


def _settings(args: argparse.Namespace, adapter: str) -> specs.ChatSettings:
    sampling = specs.Sampling(
        temperature=args.temperature,
        top_k=args.top_k,
        top_p=args.top_p,
        min_p=args.min_p,
        repetition_penalty=args.repetition_penalty,
        seed=args.seed,
        max_tokens=args.max_tokens,
    )
    return specs.ChatSettings(
        system=args.system,
        think=args.think,
        think_budget=args.think_budget,
        sampling=sampling,
        adapter=adapter,
    )


def _prompt(args: argparse.Namespace) -> str:
    """What to ask, from the option or stdin; raises EngineError `usage` when there is nothing."""
    text = args.prompt
    if text == "-":
        try:
            text = sys.stdin.buffer.read().decode().removesuffix("\n")
        except UnicodeDecodeError as error:
            raise fault("stdin_not_text", "stdin is not UTF-8 text", remedy="Send plain text") from error
    if not text or not text.strip():
        raise fault("usage", "There is nothing to ask", remedy="Say it with -p TEXT, or -p - to read stdin")
    return text
