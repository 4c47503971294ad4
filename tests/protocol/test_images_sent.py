"""Images of messages, over the protocol: sent, refused, shown to the model again, never left behind."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from PIL import Image

from engine.protocol import commands as c
from engine.protocol.errors import EngineError
from engine.protocol.specs import ImageRef, ModelInfo
from engine.shelf import Shelf
from tests.support.echo_backend import Desk, echo_engine


@pytest.fixture
async def desk(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    async with echo_engine(monkeypatch) as opened:
        yield opened


@pytest.fixture
def seeing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every model counts as one that sees."""
    find, ready = Shelf.find, Shelf.ready

    async def found(self: Shelf, model: str) -> ModelInfo:
        return replace(await find(self, model), vision=True)

    async def loaded(self: Shelf, *args: object, **options: object) -> ModelInfo:
        return replace(await ready(self, *args, **options), vision=True)

    monkeypatch.setattr(Shelf, "find", found)
    monkeypatch.setattr(Shelf, "ready", loaded)


async def brought(desk: Desk, *, saved: bool = True) -> ImageRef:
    out = io.BytesIO()
    Image.new("RGB", (60, 40), "red").save(out, "PNG")
    answer = await desk.ask(c.PutImage(name="cat.png", data=out.getvalue(), last=True, saved=saved))
    assert answer.image is not None
    return answer.image


async def test_a_model_that_cannot_see_is_told_and_nothing_is_stored(desk: Desk) -> None:
    chat, image = await desk.chat(), await brought(desk)
    with pytest.raises(EngineError) as caught:
        await desk.ask(c.Send(chat.id, "What is this?", images=(image,)))
    assert caught.value.info.code == "no_vision"
    assert "Qwen3-VL" in caught.value.info.remedy
    assert await desk.path(chat.id) == []


async def test_an_image_is_with_its_message_in_later_prompts_edits_and_forks(
    desk: Desk, seeing: None
) -> None:
    chat, image = await desk.chat(), await brought(desk)
    sent = await desk.ask(c.Send(chat.id, "What is this?", images=(replace(image, width=9),)))
    await desk.done(sent.reply)
    assert sent.user.images == (image,)  # its size as it is, not as it was said
    await desk.said(chat.id, "And now?")
    assert [turn.images for turn in desk.backend.specs[-1].turns] == [(image,), (), ()]
    edited = await desk.ask(c.EditMessage(chat.id, sent.user.id, "Who is this?"))
    await desk.done(edited.reply)
    assert edited.message.images == (image,)
    assert desk.backend.specs[-1].turns[-1].images == (image,)
    fork = await desk.ask(c.ForkChat(chat.id, edited.reply.id))
    assert (await desk.path(fork.id))[0].images == (image,)


async def test_an_image_alone_is_a_message_and_names_the_chat(desk: Desk, seeing: None) -> None:
    chat, image = await desk.chat(), await brought(desk)
    sent = await desk.ask(c.Send(chat.id, "", images=(image,)))
    await desk.done(sent.reply)
    assert sent.chat.title == "cat.png"


async def test_an_unsaved_chat_leaves_no_image_on_the_disk(desk: Desk, seeing: None, home: Path) -> None:
    chat, image = await desk.chat(saved=False), await brought(desk, saved=False)
    sent = await desk.ask(c.Send(chat.id, "What is this?", images=(image,)))
    await desk.done(sent.reply)
    assert sent.user.images == (image,)
    assert not list(home.rglob("images/*.png"))


async def test_a_reply_by_a_model_that_cannot_see_fails_in_a_sentence(
    desk: Desk, seeing: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat, image = await desk.chat(), await brought(desk)
    sent = await desk.ask(c.Send(chat.id, "What is this?", images=(image,)))
    reply = await desk.done(sent.reply)
    ready = Shelf.ready

    async def blind(self: Shelf, *args: object, **options: object) -> ModelInfo:
        return replace(await ready(self, *args, **options), vision=False)

    monkeypatch.setattr(Shelf, "ready", blind)
    again = await desk.done(await desk.ask(c.Regenerate(chat.id, reply.id)))
    assert again.finish == "failed"
    assert again.error is not None
    assert again.error.code == "no_vision"
