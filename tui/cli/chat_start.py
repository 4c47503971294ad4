"""What `qwill chat` begins with: the model, the adapter, and the chat, a new one or one to go on with."""

from __future__ import annotations

import argparse

from msgspec.structs import replace

from engine.api import Client, commands, specs
from tui.cli.adapters import adapter_name, all_adapters, check_fit, find, split_ref
from tui.cli.chat_ref import find_chat
from tui.cli.loading import model_name

SAMPLING = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty", "seed", "max_tokens")


async def begin(client: Client, args: argparse.Namespace, *, save: bool) -> specs.ChatInfo:
    """The chat to talk in, with what the options say. Loads nothing.

    Raises EngineError when the model, the adapter or the chat is unknown, or they do not go together.
    """
    if args.go_on or args.chat:
        return await _go_on(client, args)
    model, adapters = await _who(client, args, "", specs.ChatSettings())
    settings = _settings(args, specs.ChatSettings(), adapters)
    chat: specs.ChatInfo = await client.request(commands.NewChat(model, settings, saved=save))
    return chat


async def _go_on(client: Client, args: argparse.Namespace) -> specs.ChatInfo:
    """A chat that exists; only what the options name is changed in it."""
    chat = await find_chat(client, args.chat)
    if not (args.model or args.adapter):
        model, adapters = chat.model, chat.settings.adapters
    else:
        model, adapters = await _who(client, args, chat.model, chat.settings)
        if not args.adapter and model == chat.model:
            adapters = chat.settings.adapters  # an adapter means nothing on another model
    settings = _settings(args, chat.settings, adapters)
    if (model, settings) == (chat.model, chat.settings):
        return chat
    changed: specs.ChatInfo = await client.request(
        commands.ChangeChat(chat.id, model=model, settings=settings)
    )
    return changed


async def _who(
    client: Client, args: argparse.Namespace, model_id: str, settings: specs.ChatSettings
) -> tuple[str, tuple[specs.WeightedAdapter, ...]]:
    """(model, adapters): adapters without a model are asked on their base, an active one at its weight.

    Raises EngineError before anything is loaded when they do not go together.
    """
    wanted = model_name(args.model) if args.model else ""
    model = await client.request(commands.ShowModel(wanted)) if wanted else None
    default = model_id or client.welcome.snapshot.default_model
    active = {each.id: each.weight for each in settings.adapters}
    known = await all_adapters(client) if args.adapter else ()
    parts = []
    for wanted in args.adapter:
        ref, weight = split_ref(known, wanted)
        chosen = adapter_name(ref)
        # The engine looks into a folder that is not listed.
        if not chosen.startswith("/") or any(chosen in (info.id, info.path) for info in known):
            info = find(known, ref, model.id if model else model_id)
            if model is None:
                model = await client.request(commands.ShowModel(info.base or default))
            check_fit(info, model)
            chosen = info.id
        parts.append(specs.WeightedAdapter(chosen, active.get(chosen, 1.0) if weight is None else weight))
    return (model.id if model else default), tuple(parts)


def _settings(
    args: argparse.Namespace, base: specs.ChatSettings, adapters: tuple[specs.WeightedAdapter, ...]
) -> specs.ChatSettings:
    """The settings with every option that was given."""
    given = {name: value for name in SAMPLING if (value := vars(args)[name]) is not None}
    named = ("system", "think", "think_budget")
    if adapters and args.adapter_weight is not None:
        adapters = (replace(adapters[0], weight=args.adapter_weight), *adapters[1:])
    return replace(
        base.with_adapters(*adapters),
        sampling=replace(base.sampling, **given),
        **{name: value for name in named if (value := vars(args)[name]) is not None},
    )
