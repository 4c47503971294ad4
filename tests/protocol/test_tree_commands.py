"""Versions, edits, continuations, branches, forks and deletes, asked for over the protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from engine.protocol import commands as c
from engine.protocol.errors import EngineError
from engine.protocol.events import ChatChanged, MessageAdded
from engine.protocol.specs import Attachment, ChatSettings, Message, Sampling
from tests.support.echo_backend import SECONDS, Desk, echo_engine


@pytest.fixture
async def desk(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    async with echo_engine(monkeypatch) as opened:
        yield opened


@pytest.fixture(params=[True, False], ids=["saved", "unsaved"])
async def chat(desk: Desk, request: pytest.FixtureRequest) -> str:
    return (await desk.chat(saved=request.param)).id


async def refused(work: object) -> str:
    with pytest.raises(EngineError) as caught:
        await work  # type: ignore[misc]
    return caught.value.info.code


# --- versions -------------------------------------------------------------------------------


async def test_versions_are_walked_by_one_key_either_way(desk: Desk, chat: str) -> None:
    _, first = await desk.said(chat, "a")
    await desk.said(chat, "b")
    second = await desk.done(await desk.ask(c.Regenerate(chat, first.id)))
    assert (second.version, second.versions) == (2, 2)
    assert await desk.texts(chat) == ["a", "echo of a #3"]
    info = await desk.ask(c.ShowVersion(chat, second.id, by=-1))
    assert info.head == (await desk.path(chat))[-1].id
    assert await desk.texts(chat) == ["a", "echo of a #1", "b", "echo of b #2"]
    await desk.ask(c.ShowVersion(chat, first.id, by=1))
    assert await desk.texts(chat) == ["a", "echo of a #3"]


async def test_another_model_and_settings_beside_the_path(desk: Desk, chat: str) -> None:
    _, first = await desk.said(chat, "a")
    hot = ChatSettings(sampling=Sampling(temperature=2.0))
    other = await desk.ask(c.Regenerate(chat, first.id, model="demo", settings=hot, show=False))
    other = await desk.done(other)
    assert other.settings is not None
    assert (other.settings.sampling.temperature, other.settings.sampling.seed) == (2.0, 2)
    assert (other.model, other.version, other.versions) == ("demo", 2, 2)
    assert [message.id for message in await desk.path(chat)][-1] == first.id
    events = desk.client.events()
    async with asyncio.timeout(SECONDS):
        while not (
            isinstance(body := (await anext(events)).body, MessageAdded) and body.message.id == other.id
        ):
            pass
    assert not body.shown
    assert await refused(desk.ask(c.Regenerate(chat, first.id, model="absent"))) == "model_not_found"


# --- edits ----------------------------------------------------------------------------------


async def test_an_edited_question_keeps_its_files_and_is_answered(desk: Desk, chat: str) -> None:
    file = Attachment("notes.txt", "one line")
    sent = await desk.ask(c.Send(chat, "a", files=(file,)))
    await desk.done(sent.reply)
    edited = await desk.ask(c.EditMessage(chat, sent.user.id, "better"))
    await desk.done(edited.reply)
    assert (edited.message.files, edited.message.origin, edited.message.source) == (
        (file,),
        "edited",
        sent.user.id,
    )
    assert (edited.message.version, edited.message.versions) == (2, 2)
    assert [message.id for message in await desk.path(chat)] == [edited.message.id, edited.reply.id]
    asked = desk.backend.specs[-1].turns[-1].text
    assert asked.index("notes.txt") < asked.index("one line") < asked.index("better")


async def test_an_edited_question_need_not_be_answered(desk: Desk, chat: str) -> None:
    user, _ = await desk.said(chat, "a")
    edited = await desk.ask(c.EditMessage(chat, user.id, "better", answer=False))
    assert edited.reply is None
    assert await desk.texts(chat) == ["better"]
    assert len(desk.backend.specs) == 1


async def test_an_edited_reply_is_what_it_should_have_been(desk: Desk, chat: str) -> None:
    _, reply = await desk.said(chat, "a")
    edited = (await desk.ask(c.EditMessage(chat, reply.id, "A!"))).message
    assert (edited.text, edited.origin, edited.source) == ("A!", "edited", reply.id)
    assert (edited.model, edited.settings, edited.live) == (reply.model, reply.settings, False)
    assert await desk.texts(chat) == ["a", "A!"]
    await desk.said(chat, "b")
    assert [turn.text for turn in desk.backend.specs[-1].turns] == ["a", "A!", "b"]
    assert await refused(desk.ask(c.EditMessage(chat, reply.id, "  "))) == "empty_message"


# --- replies that begin with others ---------------------------------------------------------


async def test_a_continued_reply_begins_with_the_old_ones_tokens(desk: Desk, chat: str) -> None:
    _, reply = await desk.said(chat, "a")
    more = await desk.ask(c.ContinueReply(chat, reply.id))
    assert (more.origin, more.source, more.version) == ("continued", reply.id, 2)
    more = await desk.done(more)
    assert more.text == "echo of a #1echo of a #2"
    begun = desk.backend.specs[-1].begun
    assert begun is not None
    assert (begun.ids, begun.text, begun.ends) == ((10, 11, 12), reply.text, False)
    again = await desk.done(await desk.ask(c.ContinueReply(chat, more.id)))
    assert desk.backend.specs[-1].begun.ids == (10, 11, 12, 10, 11, 12)
    assert [message.id for message in await desk.path(chat)][-1] == again.id


async def test_an_edited_reply_is_continued_by_its_text(desk: Desk, chat: str) -> None:
    _, reply = await desk.said(chat, "a")
    edited = (await desk.ask(c.EditMessage(chat, reply.id, "A!"))).message
    more = await desk.done(await desk.ask(c.ContinueReply(chat, edited.id)))
    assert more.text == "A!echo of a #2"
    assert desk.backend.specs[-1].begun.ids == ()


async def test_a_continued_reply_that_never_ran_holds_what_it_began_with(desk: Desk, chat: str) -> None:
    _, reply = await desk.said(chat, "a")
    other = await desk.chat()
    held = await desk.ask(c.Send(other.id, "hold"))
    more = await desk.ask(c.ContinueReply(chat, reply.id))
    await desk.ask(c.StopReply(more.id))
    more = await desk.done(more)
    assert (more.text, more.finish) == (reply.text, "cancelled")
    desk.backend.go.set()
    await desk.done(held.reply)


async def test_a_branch_keeps_the_tokens_before_it(desk: Desk, chat: str) -> None:
    _, reply = await desk.said(chat, "a")
    await desk.ask(c.ChangeChat(chat, settings=ChatSettings(system="another")))
    branch = await desk.done(await desk.ask(c.BranchReply(chat, reply.id, 2, 77)))
    assert (branch.origin, branch.source, branch.version) == ("branched", reply.id, 2)
    spec = desk.backend.specs[-1]
    assert (spec.begun.ids, spec.begun.ends) == ((10, 11, 77), True)
    assert spec.settings.system == ""
    assert await refused(desk.ask(c.BranchReply(chat, reply.id, 3, 77))) == "token_unknown"
    edited = (await desk.ask(c.EditMessage(chat, reply.id, "A!"))).message
    assert await refused(desk.ask(c.BranchReply(chat, edited.id, 0, 77))) == "tokens_unknown"


async def test_only_finished_replies_are_continued_branched_edited_or_marked(desk: Desk, chat: str) -> None:
    sent = await desk.ask(c.Send(chat, "hold"))
    for command in (
        c.ContinueReply(chat, sent.reply.id),
        c.BranchReply(chat, sent.reply.id, 0, 1),
        c.EditMessage(chat, sent.reply.id, "x"),
        c.MarkReply(chat, sent.reply.id, "good"),
        c.ForkChat(chat, sent.reply.id),
    ):
        assert await refused(desk.ask(command)) == "reply_grows"
    for command in (
        c.ContinueReply(chat, sent.user.id),
        c.BranchReply(chat, sent.user.id, 0, 1),
        c.MarkReply(chat, sent.user.id, "good"),
        c.Regenerate(chat, sent.user.id),
    ):
        assert await refused(desk.ask(command)) == "not_a_reply"


# --- forks ----------------------------------------------------------------------------------


async def test_a_fork_goes_on_by_itself(desk: Desk, chat: str) -> None:
    await desk.ask(c.ChangeChat(chat, settings=ChatSettings(system="Be brief"), tags=("x",)))
    _, reply = await desk.said(chat, "a")
    await desk.said(chat, "b")
    fork = await desk.ask(c.ForkChat(chat, reply.id))
    old = (await desk.ask(c.ReadChat(chat))).chat
    assert (fork.title, fork.model, fork.settings, fork.saved) == (
        "a (fork)",
        old.model,
        old.settings,
        old.saved,
    )
    assert await desk.texts(fork.id) == ["a", "echo of a #1"]
    await desk.said(fork.id, "c")
    assert await desk.texts(chat) == ["a", "echo of a #1", "b", "echo of b #2"]
    await desk.ask(c.DeleteChat(chat))
    assert await desk.texts(fork.id) == ["a", "echo of a #1", "c", "echo of c #3"]
    listed = {info.id for info in (await desk.ask(c.ListChats())).chats}
    assert (fork.id in listed) is old.saved


# --- deletes --------------------------------------------------------------------------------


async def test_a_delete_can_be_undone(desk: Desk, chat: str) -> None:
    await desk.said(chat, "a")
    user, _ = await desk.said(chat, "b")
    info = await desk.ask(c.DeleteMessage(chat, user.id))
    assert info.head == (await desk.path(chat))[-1].id
    assert await desk.texts(chat) == ["a", "echo of a #1"]
    assert await refused(desk.ask(c.Regenerate(chat, user.id))) == "message_unknown"
    await desk.ask(c.DeleteMessage(chat, user.id, restore=True))
    assert await desk.texts(chat) == ["a", "echo of a #1", "b", "echo of b #2"]


async def test_a_live_reply_below_is_stopped_first_and_comes_back_as_far_as_it_was(
    desk: Desk, chat: str
) -> None:
    sent = await desk.ask(c.Send(chat, "hold"))
    await desk.until(sent.reply, lambda message: message.text != "")
    waiting = await desk.ask(c.Send(chat, "b"))
    info = await desk.ask(c.DeleteMessage(chat, sent.user.id))
    assert info.head is None
    assert await desk.texts(chat) == []
    assert not desk.host.snapshot().live
    await desk.ask(c.DeleteMessage(chat, sent.user.id, restore=True))
    path = await desk.path(chat)
    assert [message.id for message in path] == [
        sent.user.id,
        sent.reply.id,
        waiting.user.id,
        waiting.reply.id,
    ]
    assert [message.finish for message in path] == [None, "cancelled", None, "cancelled"]
    assert path[1].text == "echo of hold #1"
    assert len(desk.backend.specs) == 1


async def test_a_chat_that_lost_all_its_messages_is_told_and_begins_anew(desk: Desk, chat: str) -> None:
    user, _ = await desk.said(chat, "a")
    await desk.ask(c.DeleteMessage(chat, user.id))
    events = desk.client.events()
    async with asyncio.timeout(SECONDS):
        while not (isinstance(body := (await anext(events)).body, ChatChanged) and body.chat.head is None):
            pass
    assert chat not in [info.id for info in desk.host.snapshot().chats]
    await desk.said(chat, "b")
    assert await desk.texts(chat) == ["b", "echo of b #2"]


async def test_a_deleted_chat_stops_its_replies(desk: Desk, chat: str) -> None:
    sent = await desk.ask(c.Send(chat, "hold"))
    await desk.until(sent.reply, lambda message: message.text != "")
    await desk.ask(c.DeleteChat(chat))
    assert not desk.host.snapshot().live
    await desk.ask(c.DeleteChat(chat, restore=True))
    assert (await desk.path(chat))[-1].finish == "cancelled"


# --- prompts and pages ----------------------------------------------------------------------


async def test_a_question_that_was_never_answered_is_not_asked_again(desk: Desk, chat: str) -> None:
    await desk.said(chat, "empty")
    await desk.said(chat, "b")
    assert [turn.text for turn in desk.backend.specs[-1].turns] == ["b"]


async def test_a_waiting_reply_that_is_stopped_ends_at_once(desk: Desk, chat: str) -> None:
    held = await desk.ask(c.Send(chat, "hold"))
    waiting = await desk.ask(c.Send(chat, "b"))
    await desk.ask(c.StopReply(waiting.reply.id))
    assert (await desk.done(waiting.reply)).finish == "cancelled"
    assert (await desk.until(held.reply, lambda message: message.text != "")).live
    desk.backend.go.set()
    await desk.done(held.reply)
    await desk.said(chat, "c")
    assert [spec.turns[-1].text for spec in desk.backend.specs] == ["hold", "c"]


async def test_files_alone_can_be_sent_and_name_the_chat(desk: Desk, chat: str) -> None:
    sent = await desk.ask(c.Send(chat, "", files=(Attachment("notes.txt", "x"),)))
    await desk.done(sent.reply)
    assert sent.chat.title == "notes.txt"
    assert await refused(desk.ask(c.Send(chat, " "))) == "empty_message"


async def test_a_page_of_long_messages_fits_on_a_line(desk: Desk, chat: str) -> None:
    for number in range(4):
        file = Attachment(f"{number}.txt", str(number) * 300_000)
        sent = await desk.ask(c.Send(chat, f"empty {number}", files=(file,)))
        await desk.done(sent.reply)
    page = await desk.ask(c.ReadChat(chat))
    assert page.more
    seen: list[Message] = list(page.messages)
    while page.more:
        page = await desk.ask(c.ReadChat(chat, before=seen[0].id))
        seen = [*page.messages, *seen]
    assert [m.text for m in seen if m.role == "user"] == [f"empty {number}" for number in range(4)]


async def test_an_archived_chat_is_out_of_the_snapshot(desk: Desk) -> None:
    kept, gone = (await desk.chat()).id, (await desk.chat()).id
    for chat in (kept, gone):
        await desk.said(chat, "a")
    await desk.ask(c.ChangeChat(gone, archived=True, tags=("old",)))
    assert [info.id for info in desk.host.snapshot().chats] == [kept]
    assert [info.id for info in (await desk.ask(c.ListChats())).chats] == [kept]
    assert [info.id for info in (await desk.ask(c.ListChats(archived=True, tag="old"))).chats] == [gone]
    await desk.ask(c.ChangeChat(gone, archived=False))
    assert {info.id for info in desk.host.snapshot().chats} == {kept, gone}


# --- sent more than once --------------------------------------------------------------------


async def test_a_message_with_an_id_is_sent_once_however_often_it_comes(desk: Desk, chat: str) -> None:
    first = await desk.ask(c.Send(chat, "a", id="00000000000000a1"))
    again = await desk.ask(c.Send(chat, "a", id="00000000000000a1"))
    assert (
        (again.user.id, again.reply.id)
        == (first.user.id, first.reply.id)
        == ("00000000000000a1", first.reply.id)
    )
    await desk.done(first.reply)
    assert await desk.texts(chat) == ["a", "echo of a #1"]
    later = await desk.ask(c.Send(chat, "a", id="00000000000000a1"))
    assert later.reply.text == "echo of a #1"


async def test_a_question_whose_reply_never_came_to_be_is_answered_when_it_comes_again(desk: Desk) -> None:
    chat = (await desk.chat()).id
    await desk.host._book.add(Message("00000000000000a2", chat, "user", text="a"))  # and then the engine died
    sent = await desk.ask(c.Send(chat, "a", id="00000000000000a2"))
    assert sent.user.id == "00000000000000a2"
    assert (await desk.done(sent.reply)).text.startswith("echo of a")


async def test_a_chat_with_an_id_is_made_once(desk: Desk) -> None:
    made = [await desk.ask(c.NewChat(id="00000000000000c1")) for _ in range(2)]
    assert {chat.id for chat in made} == {"00000000000000c1"}
