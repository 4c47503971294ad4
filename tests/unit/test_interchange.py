"""Chats in and out: other programs' files, hostile ones, and our own without loss."""

from __future__ import annotations

import json
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.interchange import filenames, markdown, own, rows
from engine.interchange.carry import put_in, take_out
from engine.interchange.found import Found, Skipped, Tally
from engine.interchange.read import Reading
from engine.protocol import wire
from engine.protocol.errors import EngineError
from engine.protocol.specs import (
    Attachment,
    ChatInfo,
    ChatSettings,
    Message,
    ReplyStats,
    Sampling,
)
from engine.store import Store
from engine.store.whole import new_message_id
from engine.transfer import Transfer

USER, REPLY = "user", "assistant"


def read(path: Path) -> tuple[list[Found], Tally]:
    found, tally = [], Tally()
    for item in Reading(path):
        if isinstance(item, Skipped):
            tally.skip(item)
        else:
            found.append(item)
    return found, tally


def written(tmp_path: Path, value: Any, name: str = "chats.json") -> Path:
    path = tmp_path / name
    path.write_text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return path


def one(tmp_path: Path, value: Any, name: str = "chats.json") -> Found:
    found, tally = read(written(tmp_path, value, name))
    assert tally.skipped == 0, tally.lines()
    (chat,) = found
    return chat


def said(chat: Found) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in chat.messages]


# --- chats of other programs ----------------------------------------------------------------


def node(name: str, parent: str | None, role: str, words: Any, *children: str, **more: Any) -> dict[str, Any]:
    content = words if isinstance(words, dict) else {"content_type": "text", "parts": [words]}
    message = {
        "id": name,
        "author": {"role": role},
        "create_time": 1.7e9,
        "content": content,
        "recipient": more.get("recipient", "all"),
        "metadata": {"model_slug": "gpt-5"},
    }
    return {"id": name, "message": message, "parent": parent, "children": list(children)}


CHATGPT = {
    "title": "Kira sözleşmesi",
    "create_time": 1.7e9,
    "update_time": 1.7e9 + 60,
    "current_node": "a2",
    "mapping": {
        "root": {"id": "root", "message": None, "parent": None, "children": ["sys"]},
        "sys": node("sys", "root", "system", "", "q"),
        "q": node("q", "sys", "user", "Nedir?", "t", "a2"),
        "t": node(
            "t", "q", "assistant", {"content_type": "thoughts", "thoughts": [{"content": "hmm"}]}, "a1"
        ),
        "a1": node("a1", "t", "assistant", "Birinci"),
        "a2": node("a2", "q", "assistant", "İkinci", "call"),
        "call": node(
            "call", "a2", "assistant", {"content_type": "code", "text": "1+1"}, "out", recipient="python"
        ),
        "out": node("out", "call", "tool", {"content_type": "execution_output", "text": "2"}),
    },
}


def test_chatgpt_keeps_branches_thoughts_tools_and_the_branch_shown(tmp_path: Path) -> None:
    chat = one(tmp_path, [CHATGPT])
    assert chat.info.title == "Kira sözleşmesi"
    assert (chat.info.created, chat.info.updated) == (1.7e9, 1.7e9 + 60)
    assert said(chat) == [
        (USER, "Nedir?"),
        (REPLY, "Birinci"),
        (REPLY, "İkinci"),
        ("tool", "1+1"),
        ("tool", "2"),
    ]
    question, first, second, call, out = chat.messages
    assert (first.parent, second.parent, call.parent, out.parent) == (
        question.id,
        question.id,
        second.id,
        call.id,
    )
    assert (first.thinking, second.thinking) == ("hmm", "")
    assert second.model == "gpt-5"
    assert chat.info.head == second.id
    assert json.loads(call.extra)["chatgpt"]["recipient"] == "python"


def test_chatgpt_is_found_inside_its_zip(tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("user.json", "{}")
        archive.writestr("conversations.json", json.dumps([CHATGPT, CHATGPT]))
    found, tally = read(path)
    assert [chat.place for chat in found] == ["chat 1", "chat 2"]
    assert tally.skipped == 0


def test_sharegpt_and_its_system_prompt(tmp_path: Path) -> None:
    row = {
        "id": "x",
        "conversations": [
            {"from": "system", "value": "Be brief"},
            {"from": "human", "value": "Merhaba"},
            {"from": "gpt", "value": "<think>\nselam mı\n</think>\n\nSelam"},
            {"from": "function_call", "value": '{"name": "f"}'},
            {"from": "observation", "value": "42"},
        ],
    }
    chat = one(tmp_path, [row])
    assert chat.info.settings.system == "Be brief"
    assert said(chat)[:2] == [(USER, "Merhaba"), (REPLY, "Selam")]
    assert chat.messages[1].thinking == "selam mı"
    assert [role for role, _ in said(chat)[2:]] == ["tool", "tool"]


def test_messages_one_chat_a_line_with_tool_calls_that_go_out_unchanged(tmp_path: Path) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    messages = [
        {"role": "system", "content": "Be brief"},
        {"role": "user", "content": [{"type": "text", "text": "What time?"}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "noon", "tool_call_id": "1"},
        {"role": "assistant", "content": "Noon.", "reasoning_content": "it says noon"},
    ]
    lines = "\n".join(json.dumps({"messages": messages}) for _ in range(3))
    found, tally = read(written(tmp_path, lines, "train.jsonl"))
    assert (len(found), tally.skipped) == (3, 0)
    chat = found[2]
    assert chat.place == "line 3"
    assert [message.role for message in chat.messages] == [USER, REPLY, "tool", REPLY]
    again = json.loads(rows.row(chat.info, chat.messages))["messages"]
    assert again[0] == messages[0]
    assert again[1] == {"role": "user", "content": "What time?"}
    assert again[2]["tool_calls"] == [call]
    assert again[3] == messages[3]
    assert again[4] == messages[4]


@pytest.mark.parametrize("form", ["list", "lines"])
def test_messages_that_stand_alone_are_one_chat(tmp_path: Path, form: str) -> None:
    messages = [{"role": "user", "content": "你好"}, {"role": "assistant", "content": "您好"}]
    text = json.dumps(messages) if form == "list" else "\n".join(map(json.dumps, messages)) + "\n"
    chat = one(tmp_path, text)
    assert said(chat) == [(USER, "你好"), (REPLY, "您好")]
    assert chat.info.title == "你好"


LMSTUDIO = {
    "name": "Tools",
    "createdAt": 1_700_000_000_000,
    "systemPrompt": "Be brief",
    "messages": [
        {
            "versions": [{"type": "singleStep", "role": "user", "content": [{"type": "text", "text": "Hi"}]}],
            "currentlySelected": 0,
        },
        {
            "versions": [
                {
                    "type": "multiStep",
                    "role": "assistant",
                    "senderInfo": {"senderName": "qwen3"},
                    "steps": [
                        {
                            "type": "contentBlock",
                            "style": {"type": "thinking"},
                            "content": [{"type": "text", "text": "hmm"}],
                        },
                        {"type": "contentBlock", "content": [{"type": "text", "text": "One"}]},
                        {
                            "type": "contentBlock",
                            "content": [{"type": "toolCallRequest", "name": "now", "parameters": {}}],
                        },
                        {"type": "debugInfoBlock", "debugInfo": "x"},
                        {"type": "contentBlock", "content": [{"type": "text", "text": "Noon"}]},
                    ],
                },
                {
                    "type": "multiStep",
                    "role": "assistant",
                    "steps": [{"type": "contentBlock", "content": [{"type": "text", "text": "Two"}]}],
                },
            ],
            "currentlySelected": 0,
        },
        {
            "versions": [{"type": "singleStep", "role": "user", "content": [{"type": "text", "text": "ok"}]}],
            "currentlySelected": 0,
        },
    ],
}


def test_lm_studio_keeps_versions_and_goes_on_from_the_one_selected(tmp_path: Path) -> None:
    chat = one(tmp_path, LMSTUDIO, "1.conversation.json")
    assert (chat.info.title, chat.info.created) == ("Tools", 1.7e9)
    assert chat.info.settings.system == "Be brief"
    assert said(chat) == [
        (USER, "Hi"),
        (REPLY, "One"),
        ("tool", "now {}"),
        (REPLY, "Noon"),
        (REPLY, "Two"),
        (USER, "ok"),
    ]
    hi, first, _, noon, two, ok = chat.messages
    assert (first.parent, two.parent, ok.parent) == (hi.id, hi.id, noon.id)
    assert (first.thinking, first.model) == ("hmm", "qwen3")
    assert chat.info.head == ok.id


def oterm_store(path: Path) -> None:
    store = sqlite3.connect(path)
    store.execute('CREATE TABLE "chat" ("id" INTEGER PRIMARY KEY, "name" TEXT, "model" TEXT, "system" TEXT)')
    store.execute(
        'CREATE TABLE "message" ("id" INTEGER PRIMARY KEY, "chat_id" INTEGER, "author" TEXT, "text" TEXT,'
        ' "images" TEXT DEFAULT "[]")'
    )
    store.execute("INSERT INTO chat VALUES (1, 'Grüße', 'qwen3:4b', 'Be brief'), (2, 'empty', 'm', NULL)")
    store.executemany(
        "INSERT INTO message (chat_id, author, text, images) VALUES (?, ?, ?, ?)",
        [
            (1, "user", "Hallo", '["aGk="]'),
            (1, "assistant", "<think>x</think>Hi", "[]"),
            (1, "??", "x", "[]"),
        ],
    )
    store.commit()
    store.close()


def test_oterm_is_told_by_its_tables_and_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "some name"
    oterm_store(path)
    before = path.read_bytes()
    (chat,), tally = read(path)
    assert (chat.info.title, chat.info.settings.system) == ("Grüße", "Be brief")
    assert said(chat) == [(USER, "Hallo"), (REPLY, "Hi")]
    assert (chat.messages[1].thinking, chat.messages[1].model) == ("x", "qwen3:4b")
    assert json.loads(chat.messages[0].extra) == {"oterm": {"images": ["aGk="]}}
    assert tally.skipped == 2
    assert path.read_bytes() == before


def test_a_folder_is_read_file_by_file(tmp_path: Path) -> None:
    folder = tmp_path / "conversations"
    (folder / "deep").mkdir(parents=True)
    written(folder, LMSTUDIO, "1.conversation.json")
    written(folder / "deep", LMSTUDIO, "2.conversation.json")
    written(folder, "no json", "3.json")
    found, tally = read(folder)
    assert (len(found), tally.skipped) == (2, 1)


# --- hostile files --------------------------------------------------------------------------

CYCLE = {
    "mapping": {
        "ok": node("ok", None, "user", "still here"),
        "a": node("a", "b", "user", "one", "b"),
        "b": node("b", "a", "user", "two", "a"),
        "self": node("self", "self", "user", "me", "self"),
    }
}
HOSTILE: list[tuple[str, Any, int]] = [
    ("empty", "", 0),
    ("text", "hello world", 0),
    ("number", "17", 0),
    ("nulls", [None, 1, "x", [], {}], 0),
    ("cut off", json.dumps([CHATGPT, CHATGPT])[:-40], 1),
    ("deep", "[" * 200_000, 0),
    ("deep in a chat", '[{"messages": ' + "[" * 100_000 + "]" * 100_000 + "}]", 0),
    ("cycle", [CYCLE], 1),
    (
        "mapping of nonsense",
        [{"mapping": {"a": 1, "b": {"message": []}, "c": {"message": {"author": 1}}}}],
        0,
    ),
    ("messages of nonsense", [{"messages": [1, {"role": 1, "content": 1}, {"role": [], "content": {}}]}], 0),
    ("half pair", '[{"messages": [{"role": "user", "content": "a\\ud800b"}]}]', 1),
    ("nan", '[{"messages": [{"role": "user", "content": "x", "created": NaN}], "created": 1e999}]', 1),
    ("control", '[{"messages": [{"role": "user", "content": "a\x01\x1b[2Jb"}], "title": "\x1b]0;x"}]', 1),
    ("gigantic", [{"messages": [{"role": "user", "content": "x" * 3_000_000}]}], 0),
    ("one gigantic", [{"messages": [{"role": "user", "content": c} for c in ("x" * 3_000_000, "ok")]}], 1),
    ("giant number", '[{"messages": [{"role": "user", "content": "x"}], "created": ' + "9" * 5000 + "}]", 0),
    ("ours of later", {"qwill": {"version": 99}, "chats": []}, 0),
    (
        "ours of nonsense",
        {"qwill": {"version": 1}, "chats": [1, {"chat": {"id": 7}}, {"chat": {"id": "x"}}]},
        0,
    ),
    ("not utf-8", b'[{"messages": [{"role": "user", "content": "a\xff\xfeb"}]}]', 1),
    ("binary", bytes(range(256)) * 40, 0),
    ("not a zip", b"PK\x03\x04" + b"x" * 100, 0),
    ("not a store", b"SQLite format 3\x00" + b"x" * 5000, 0),
]


@pytest.mark.parametrize(("value", "chats"), [row[1:] for row in HOSTILE], ids=[row[0] for row in HOSTILE])
def test_hostile_files_cost_no_more_than_what_is_wrong_in_them(
    tmp_path: Path, value: Any, chats: int
) -> None:
    path = tmp_path / "hostile.json"
    if isinstance(value, bytes):
        path.write_bytes(value)
    else:
        written(tmp_path, value, path.name)
    found, tally = read(path)
    assert len(found) == chats, tally.lines()
    if not chats and value:
        assert tally.skipped > 0
    for chat in found:
        for message in chat.messages:
            wire.encode(wire.Request(1, _put(message)))
        assert chat.info.title.isprintable()
    assert all(why and place for why, place in tally.places.items())


def _put(message: Message) -> Any:
    from engine.protocol.commands import PutMessages

    return PutMessages("c", (message,))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["messages", "role", "content", "mapping", "message", "parent", "children", "from", "value"]
                + [
                    "author",
                    "versions",
                    "steps",
                    "qwill",
                    "chats",
                    "chat",
                    "type",
                    "parts",
                    "text",
                    "version",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=30,
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(json_values)
def test_no_json_makes_the_reader_fail(tmp_path: Path, value: Any) -> None:
    read(written(tmp_path, json.dumps(value)))
    read(written(tmp_path, json.dumps([value, value])))


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(EngineError) as error:
        read(tmp_path / "absent.json")
    assert error.value.info.code == "import_unreadable"
    assert error.value.info.remedy


def test_the_report_counts_reasons_and_names_the_first_place(tmp_path: Path) -> None:
    lines = [json.dumps({"messages": [{"role": "user", "content": "x"}]}), "{broken", '{"a": 1}', '{"b": 1}']
    found, tally = read(written(tmp_path, "\n".join(lines), "x.jsonl"))
    assert len(found) == 1
    assert tally.lines() == [
        "2 × nothing that looks like a chat (first: line 3)",
        "1 × not JSON (first: line 2)",
    ]


# --- our own format, over a real store ------------------------------------------------------

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
some_settings = st.builds(
    ChatSettings,
    system=texts,
    think=st.booleans(),
    think_budget=st.none() | st.integers(0, 5000),
    sampling=st.builds(
        Sampling, temperature=st.none() | st.floats(0, 2), seed=st.none() | st.integers(0, 2**40)
    ),
    keep_thoughts=st.booleans(),
)


@st.composite
def trees(draw: st.DrawFn) -> tuple[ChatInfo, list[Message]]:
    count = draw(st.integers(1, 8))
    messages: list[Message] = []
    for number in range(count):
        role = draw(st.sampled_from(["user", "assistant", "tool", "system"]))
        above = draw(st.none() | st.sampled_from(messages)) if messages else None
        messages.append(
            Message(
                f"m{number}",
                "c",
                role,
                draw(texts),
                draw(texts),
                above.id if above else None,
                created=draw(st.floats(0, 2e9)),
                model=draw(texts),
                adapter=draw(texts),
                settings=draw(st.none() | some_settings),
                finish=draw(st.sampled_from([None, "stop", "length", "cancelled"])),
                stats=draw(
                    st.none() | st.builds(ReplyStats, tokens=st.integers(0, 9), ttft_ms=st.floats(0, 9))
                ),
                mark=draw(st.sampled_from(["", "good", "bad"])),
                origin=draw(st.sampled_from(["", "edited", "continued", "branched", "imported"])),
                source=draw(st.sampled_from([None, *(m.id for m in messages)])),
                files=tuple(Attachment(a, b) for a, b in draw(st.lists(st.tuples(texts, texts), max_size=2))),
                extra=draw(st.sampled_from(["", '{"tool_calls":[{"id":"1"}]}'])),
            )
        )
    info = ChatInfo(
        "c",
        title=draw(texts),
        model=draw(texts) or "demo",
        created=draw(st.floats(1, 2e9)),
        updated=draw(st.floats(1, 2e9)),
        head=draw(st.sampled_from(messages)).id,
        settings=draw(some_settings),
        draft=draw(texts),
        tags=tuple(draw(st.lists(texts, max_size=3))),
        archived=draw(st.booleans()),
    )
    return info, messages


class Shelf:
    """A store as the protocol sees it, without an engine around it."""

    def __init__(self, path: Path) -> None:
        self.store = Store.open(path)
        self.pages = 0

    async def chat(self, chat: str) -> ChatInfo:
        return self.store.chat(chat)

    async def tree(self, *args: Any) -> Any:
        return self.store.tree(*args)

    async def stage(self, chat: ChatInfo) -> None:
        self.store.stage_chat(chat)

    async def put(self, chat: str, messages: Any, *, last: bool, head: str | None) -> None:
        self.store.put_messages(chat, messages, last, head)

    async def request(self, command: Any) -> Any:
        self.pages += 1
        wire.encode(wire.Request(1, command))
        transfer = Transfer(self, lambda: "demo")  # type: ignore[arg-type]
        name = type(command).__name__
        answer = {"ReadTree": transfer.read, "PutChat": transfer.begin, "PutMessages": transfer.put}[name]
        result = await answer(command)
        assert len(msgspec.json.encode(result)) < wire.LINE_LIMIT
        return result


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(trees())
async def test_our_json_brings_back_the_same_tree(
    tmp_path_factory: pytest.TempPathFactory, tree: tuple[ChatInfo, list[Message]]
) -> None:
    info, messages = tree
    folder = tmp_path_factory.mktemp("own")
    path = written(folder, "".join(own.write([(info, messages)])))
    found, tally = read(path)
    assert tally.skipped == 0, tally.lines()
    shelf = Shelf(folder / "qwill.db")
    shown = await put_in(shelf.request, found[0])
    back, again = await take_out(shelf.request, shown.id)
    shelf.store.close()

    def name(old: str | None) -> str | None:
        return None if old is None else new_message_id(shown.id, old)

    replace = msgspec.structs.replace
    assert back == replace(info, id=shown.id, head=name(info.head))
    assert [replace(m, version=1, versions=1) for m in again] == [
        replace(m, id=name(m.id), chat=shown.id, parent=name(m.parent), source=name(m.source))
        for m in messages
    ]
    assert json.loads(path.read_text())["qwill"] == {"version": own.VERSION}


async def test_a_long_chat_travels_in_pages_that_fit_on_a_line(tmp_path: Path) -> None:
    parent, messages = None, []
    for number in range(1200):
        messages.append(Message(f"{number}", "c", USER, "ğ" * 2000, parent=parent, created=1.0))
        parent = f"{number}"
    messages.append(Message("big", "c", REPLY, "\x01" * 100_000, parent=parent, source="7", created=1.0))
    shelf = Shelf(tmp_path / "qwill.db")
    shown = await put_in(shelf.request, Found(ChatInfo("c", "Long", head="big"), tuple(messages)))
    assert shelf.pages > 6
    _, back = await take_out(shelf.request, shown.id)
    assert [m.text for m in back] == [m.text for m in messages]
    assert back[-1].source == back[7].id


async def test_an_import_that_dies_half_way_leaves_no_half_chat(tmp_path: Path) -> None:
    from engine.protocol.commands import PutChat, PutMessages

    shelf = Shelf(tmp_path / "qwill.db")
    begun = await shelf.request(PutChat(ChatInfo("", "Half", created=1.0)))
    await shelf.request(PutMessages(begun.id, (Message("a", "", USER, "pineapple"),)))
    assert shelf.store.chats() == []
    assert shelf.store.search("pineapple") == []
    with pytest.raises(EngineError):
        shelf.store.chat(begun.id)
    for wrong in (
        PutMessages(begun.id, (Message("b", "", USER, "x", parent="nobody"),), last=True),
        PutMessages(begun.id, (Message("a", "", USER, "again"),), last=True),
        PutMessages(begun.id, (), head="nobody", last=True),
    ):
        with pytest.raises(EngineError) as error:
            await shelf.request(wrong)
        assert error.value.info.code == "messages_unfit"
    shelf.store.recover()
    assert shelf.store._db.execute("SELECT count(*) FROM messages").fetchone()[0] == 0
    with pytest.raises(EngineError):
        await shelf.request(PutMessages(begun.id, (), last=True))
    shelf.store.close()


def test_our_json_survives_messages_that_are_missing_or_hang_in_a_circle(tmp_path: Path) -> None:
    good = [Message("a", "c", USER, "a"), Message("d", "c", REPLY, "d", parent="b")]
    value = json.loads("".join(own.write([(ChatInfo("c", "T", head="nobody"), good)])))
    value["chats"][0]["messages"] += [
        {"id": "b", "chat": "c", "role": "nobody", "parent": "a"},
        {"id": "x", "chat": "c", "role": "user", "text": "x", "parent": "y"},
        {"id": "y", "chat": "c", "role": "user", "text": "y", "parent": "x"},
        {"id": "a", "chat": "c", "role": "user", "text": "twice"},
    ]
    (chat,), tally = read(written(tmp_path, value))
    assert [(m.id, m.parent) for m in chat.messages] == [("a", None), ("d", "a")]
    assert chat.info.head == "d"
    assert tally.skipped == 4


# --- Markdown, rows and names ---------------------------------------------------------------


def chat_of(*messages: Message, **info: Any) -> tuple[ChatInfo, list[Message]]:
    linked = [
        msgspec.structs.replace(m, parent=messages[at - 1].id if at else None)
        for at, m in enumerate(messages)
    ]
    return ChatInfo("c", head=linked[-1].id, **info), linked


def test_markdown_has_front_matter_and_folded_thoughts() -> None:
    info, messages = chat_of(
        Message("q", "c", USER, "Neden?", created=1.7e9, files=(Attachment("a.txt", "```\nx"),)),
        Message(
            "r", "c", REPLY, "Çünkü.", "</details>\n````\n# big", model="Qwen/Qwen3-1.7B", adapter="pirate"
        ),
        title='Say "hi":\n---',
        model="Qwen/Qwen3-1.7B",
        created=1.7e9,
        tags=("hukuk", "a: b"),
        settings=ChatSettings(system="x\u2028---\ny"),
    )
    text = markdown.write(info, messages)
    front, _, body = text.removeprefix("---\n").partition("\n---\n")
    fields = dict(line.split(": ", 1) for line in front.split("\n"))
    assert json.loads(fields["title"]) == info.title
    assert json.loads(fields["tags"]) == ["hukuk", "a: b"]
    assert json.loads(fields["settings"])["system"] == "x\u2028---\ny"
    assert fields["created"] == '"2023-11-14T22:13:20+00:00"'
    assert "## Qwen3-1.7B + pirate" in body
    assert "`````text\n</details>\n````\n# big\n`````\n\n</details>" in body
    assert body.count("<summary>") == 2
    assert body.rstrip().endswith("Çünkü.")


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("```python\nx = 1", "\n```"),
        ("~~~~\n```\nx", "\n~~~~"),
        ("```\nx\n```", ""),
        ("``` not a fence `", ""),
        ("a\n```\nb\n``` x\n```", ""),
    ],
)
def test_a_fence_that_a_reply_leaves_open_is_closed(text: str, end: str) -> None:
    assert markdown.closed(text) == text + end


def test_html_without_an_end_is_disarmed() -> None:
    assert markdown.closed("<!-- on and on\n\nmore") == "\\<!-- on and on\n\nmore"
    assert markdown.closed("<script>\nx") == "\\<script>\nx"
    assert markdown.closed("<!-- ok -->\n<pre>\n</pre>") == "<!-- ok -->\n<pre>\n</pre>"
    assert markdown.closed("```\n<!-- x\n```") == "```\n<!-- x\n```"


def test_a_row_has_the_shown_path_only() -> None:
    info, messages = chat_of(Message("q", "c", USER, "q"), Message("r", "c", REPLY, "r", "t"))
    other = Message("o", "c", REPLY, "other", parent="q")
    row = json.loads(rows.row(info, [*messages, other]))
    assert row == {
        "messages": [
            {"role": "user", "content": "q"},
            {"role": "assistant", "content": "r", "reasoning_content": "t"},
        ]
    }
    assert rows.row(*chat_of(Message("q", "c", USER, "q"))) == ""


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Kira sözleşmesi", "Kira sözleşmesi.md"),
        ("机器学习 / 深度", "机器学习 深度.md"),
        ("../../etc/passwd", "etc passwd.md"),
        ("con", "chat con.md"),
        ("NUL.txt", "chat NUL.txt.md"),
        ("", "chat.md"),
        ("a\u202egnp.exe\x00\x1b", "a gnp.exe.md"),
        ('what? "x": <y>|*', "what x y.md"),
        ("...", "chat.md"),
    ],
)
def test_file_names_keep_every_script_and_nothing_dangerous(title: str, name: str) -> None:
    assert filenames.file_name(title, ".md") == name


@given(st.text(max_size=300))
def test_every_title_becomes_a_name_that_a_file_system_takes(title: str) -> None:
    name = filenames.file_name(title, ".jsonl")
    assert len(name.encode()) < 200
    assert "/" not in name
    assert name not in (".", "..")
    assert not name.startswith(".")
    assert name.isprintable() or not any(ord(c) < 32 for c in name)


def test_a_file_is_never_overwritten(tmp_path: Path) -> None:
    for expected in ("x.md", "x (2).md", "x (3).md"):
        file, path = filenames.create(tmp_path / "x.md")
        file.close()
        assert path.name == expected
