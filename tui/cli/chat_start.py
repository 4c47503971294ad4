"""What `qwill chat` begins with: the model, the adapter, and the chat, a new one or one to go on with."""

from __future__ import annotations

import argparse

from msgspec.structs import replace

from engine.api import Client, commands, specs
from tui.cli.adapters import adapter_name, all_adapters, check_fit, find
from tui.cli.chat_ref import find_chat
from tui.cli.loading import model_name

SAMPLING = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty", "seed", "max_tokens")


async def begin(client: Client, args: argparse.Namespace, *, save: bool) -> specs.ChatInfo:
    """The chat to talk in, with what the options say. Loads nothing.

    Raises EngineError when the model, the adapter or the chat is unknown, or they do not go together.
    """
    if args.go_on or args.chat:
        return await _go_on(client, args)
    model, adapter = await _who(client, args, "")
    settings = _settings(args, specs.ChatSettings(), adapter)
    chat: specs.ChatInfo = await client.request(commands.NewChat(model, settings, saved=save))
    return chat


async def _go_on(client: Client, args: argparse.Namespace) -> specs.ChatInfo:
    """A chat that exists; only what the options name is changed in it."""
    chat = await find_chat(client, args.chat)
    if not (args.model or args.adapter):
        model, adapter = chat.model, chat.settings.adapter
    else:
        model, adapter = await _who(client, args, chat.model)
        if not args.adapter and model == chat.model:
            adapter = chat.settings.adapter  # an adapter means nothing on another model
    settings = _settings(args, chat.settings, adapter)
    if (model, settings) == (chat.model, chat.settings):
        return chat
    changed: specs.ChatInfo = await client.request(
        commands.ChangeChat(chat.id, model=model, settings=settings)
    )
    return changed


async def _who(client: Client, args: argparse.Namespace, model_id: str) -> tuple[str, str]:
    """(model, id of the adapter): an adapter without a model is asked on its base.

    Raises EngineError before anything is loaded when the two do not go together.
    """
    wanted = model_name(args.model) if args.model else ""
    model = await client.request(commands.ShowModel(wanted)) if wanted else None
    default = model_id or client.welcome.snapshot.default_model
    if not args.adapter:
        return (model.id if model else default), ""
    known, ref = await all_adapters(client), adapter_name(args.adapter)
    if ref.startswith("/") and all(ref not in (info.id, info.path) for info in known):
        return (model.id if model else default), ref  # the engine looks into the folder
    adapter = find(known, args.adapter, model.id if model else model_id)
    if model is None:
        model = await client.request(commands.ShowModel(adapter.base or default))
    check_fit(adapter, model)
    return model.id, adapter.id


def _settings(args: argparse.Namespace, base: specs.ChatSettings, adapter: str) -> specs.ChatSettings:
    """The settings with every option that was given."""
    given = {name: value for name in SAMPLING if (value := vars(args)[name]) is not None}
    named = ("system", "think", "think_budget")
    return replace(
        base,
        sampling=replace(base.sampling, **given),
        adapter=adapter,
        **{name: value for name in named if (value := vars(args)[name]) is not None},
    )
