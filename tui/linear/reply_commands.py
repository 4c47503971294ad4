"""Slash commands of the linear chat: the last reply, and files for the next message."""

from __future__ import annotations

from engine.api import commands, specs
from tui.format import plural, roughly, seconds
from tui.linear.talk import Talk


async def idle(talk: Talk, argument: str) -> None:
    talk.paper.say("Nothing is being written.")


async def again(talk: Talk, argument: str) -> None:
    reply = await talk.last_reply()
    if reply is None:
        talk.paper.say("There is no reply to ask for again.")
        return

    async def ask() -> specs.Message:
        message: specs.Message = await talk.link.request(commands.Regenerate(talk.chat.id, reply.id))
        return message

    await talk.follow(ask)


async def carry_on(talk: Talk, argument: str) -> None:
    reply = await talk.last_reply()
    if reply is None:
        talk.paper.say("There is no reply to continue.")
        return

    async def ask() -> specs.Message:
        message: specs.Message = await talk.link.request(commands.ContinueReply(talk.chat.id, reply.id))
        return message

    await talk.follow(ask)


async def good(talk: Talk, argument: str) -> None:
    await _mark(talk, "good")


async def bad(talk: Talk, argument: str) -> None:
    await _mark(talk, "bad")


async def _mark(talk: Talk, mark: specs.Mark) -> None:
    reply = await talk.last_reply()
    if reply is None:
        talk.paper.say("There is no reply to mark.")
        return
    wanted: specs.Mark = "" if reply.mark == mark else mark
    await talk.link.request(commands.MarkReply(talk.chat.id, reply.id, wanted))
    talk.paper.say(f"The last reply is marked {wanted}." if wanted else "The mark is taken off.")


async def file(talk: Talk, argument: str) -> None:
    from tui.attach import read_file

    if not argument:
        waiting = ", ".join(file.name for file in talk.files)
        talk.paper.say(f"With the next message: {waiting}." if waiting else "/file takes a path.")
        return
    talk.files.append(await read_file(talk.link.request, argument, talk.link.client.host))
    talk.paper.say(f"{talk.files[-1].name} goes with the next message.")


async def image(talk: Talk, argument: str) -> None:
    from tui.images import read_image, upload, words

    if not argument:
        waiting = ", ".join(image.name for image in talk.images)
        talk.paper.say(f"With the next message: {waiting}." if waiting else "/image takes a path.")
        return
    found = await read_image(talk.link.request, argument, talk.link.client.host)
    brought = await upload(talk.link.request, *found, saved=talk.chat.saved)
    talk.images.append(brought)
    talk.paper.say(f"{brought.name} ({words(brought)}) goes with the next message.")


async def detach(talk: Talk, argument: str) -> None:
    images = [image for image in talk.images if not argument or image.name == argument]
    if images:
        talk.images.remove(images[-1])
        talk.paper.say(f"{images[-1].name} is taken away.")
        return
    named = [file for file in talk.files if not argument or file.name == argument]
    if not named:
        talk.paper.say("No such file waits for the next message.")
        return
    talk.files.remove(named[-1])
    talk.paper.say(f"{named[-1].name} is taken away.")


async def last_thought(talk: Talk, argument: str) -> None:
    reply = await talk.last_reply()
    talk.paper.show(reply.thinking.strip() if reply and reply.thinking.strip() else "There is no thought.")


async def info(talk: Talk, argument: str) -> None:
    """Numbers of the last reply."""
    reply = await talk.last_reply()
    stats = reply.stats if reply else None
    if reply is None or stats is None:
        talk.paper.say("There is no reply yet.")
        return
    about = roughly(stats.estimated)
    size = f" of {stats.context_size:,}" if stats.context_size else ""
    lines = [
        f"{talk.name(reply.model)}: {about}{plural(stats.tokens, 'token')}, "
        f"{about}{stats.tokens_per_s:.1f} a second, first one after {seconds(stats.ttft_ms / 1000)}.",
        f"Context: {about}{stats.context_used:,}{size} tokens.",
    ]
    talk.paper.show("\n".join([*lines, *([stats.note] if stats.note else [])]))
