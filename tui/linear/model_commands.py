"""Slash commands of the linear chat: models and adapters."""

from __future__ import annotations

from engine.api import commands, runs, specs
from tui.format import plural, size
from tui.linear.talk import Talk
from tui.paths import whole_path

LISTED = 10
"""Rows of a list at most."""


async def model(talk: Talk, argument: str) -> None:
    if not argument:
        await models(talk, "")
        talk.paper.say("/model NAME changes to one of them.")
        return
    from tui.cli.loading import model_name

    known = talk.link.models.values()
    close = [each for each in known if argument.lower() in each.name.lower()]
    exact = [each for each in known if argument in (each.id, each.name)]
    found = exact or close
    if len(found) > 1:
        talk.paper.say(f"It could be {', '.join(each.name for each in found[:LISTED])}.")
        return
    model: specs.ModelInfo = (
        found[0] if found else await talk.link.request(commands.ShowModel(model_name(argument)))
    )
    settings = talk.chat.settings
    if settings.adapter and model.id != talk.chat.model:
        # An adapter means nothing on another model.
        settings = settings.with_adapters()
    await talk.change(model=model.id, settings=settings)
    talk.paper.say(f"{model.name} answers from the next message on.")
    talk.warm()


async def models(talk: Talk, argument: str) -> None:
    found: commands.ModelList = await talk.link.request(commands.ListModels())
    talk.link.models = {model.id: model for model in found.models}
    lines = []
    for model in found.models:
        notes = [size(model.bytes_on_disk)]
        notes += ["loaded"] if model.state == "ready" else []
        notes += ["answers here"] if model.id == talk.chat.model else []
        lines.append(f"{model.name}: {', '.join(notes)}")
    talk.paper.show("\n".join(lines) or "No models were found.")


async def unload(talk: Talk, argument: str) -> None:
    await talk.link.request(commands.UnloadModel(talk.chat.model))
    talk.paper.say(f"{talk.name()} is unloaded; the next message loads it again.")


async def refresh(talk: Talk, argument: str) -> None:
    found: commands.ModelList = await talk.link.request(commands.ListModels(refresh=True))
    talk.link.models = {model.id: model for model in found.models}
    talk.paper.say(f"{plural(len(found.models), 'model')} found.")


async def folder(talk: Talk, argument: str) -> None:
    if not argument:
        talk.paper.say("/folder takes the path of a folder with models.")
        return
    path = str(whole_path(argument))
    found: commands.ModelList = await talk.link.request(commands.AddFolder(path))
    talk.link.models = {model.id: model for model in found.models}
    talk.paper.say(f"{plural(len(found.models), 'model')} found.")


async def adapter(talk: Talk, argument: str) -> None:
    from tui.cli.adapters import all_adapters, check_fit, find
    from tui.weights import split_mix

    if argument.lower() in ("off", "none", "-"):
        await _use_adapters(talk)
        return
    known = await all_adapters(talk.link.client)
    if argument:
        model: specs.ModelInfo = await talk.link.request(commands.ShowModel(talk.chat.model))
        active = talk.chat.settings.adapters
        parts: dict[str, specs.WeightedAdapter] = {}
        for place, (wanted, weight) in enumerate(split_mix(argument)):
            if not wanted and place == 0 and argument.startswith("+"):
                parts |= {each.id: each for each in active}
                continue
            info = find(known, wanted or talk.chat.settings.adapter, model.id)
            check_fit(info, model)
            parts[info.id] = specs.WeightedAdapter(info.id, weight)
        await _use_adapters(talk, *parts.values())
        return
    fitting = [each for each in known if each.fits(talk.chat.model)]
    if not fitting:
        talk.paper.say(f"No adapter fits {talk.name()} yet. `qwill train --data FILE` trains one.")
        return
    ids = [each.id for each in talk.chat.settings.adapters]
    rows = [_adapter_row(each, active=each.id in ids) for each in fitting[:LISTED]]
    talk.paper.show(
        "\n".join([*rows, "/adapter NAME switches one on, + NAME adds another, off takes all off."])
    )


def _adapter_row(info: runs.AdapterInfo, *, active: bool) -> str:
    return f"{info.name}: {size(info.bytes_on_disk)}{', active' if active else ''}"


async def _use_adapters(talk: Talk, *adapters: specs.WeightedAdapter) -> None:
    await talk.change(settings=talk.chat.settings.with_adapters(*adapters))
    name = await talk.adapter_name() or f"{talk.name()} alone"
    together = "answer together" if len(adapters) > 1 else "answers"
    talk.paper.say(f"{name} {together} from the next message on.")
