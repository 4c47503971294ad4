"""`qwill chats` against a real engine, as scripts use it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.api import Target, commands, connect, specs
from tests.support.command import qwill

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
shared = pytest.mark.usefixtures("shared_home")

CHATGPT = {
    "title": "Kira sözleşmesi",
    "create_time": 1.7e9,
    "current_node": "a",
    "mapping": {
        "r": {"message": None, "parent": None, "children": ["q"]},
        "q": {
            "message": {"author": {"role": "user"}, "content": {"content_type": "text", "parts": ["Nedir?"]}},
            "parent": "r",
            "children": ["a", "b"],
        },
        "b": {
            "message": {"author": {"role": "assistant"}, "content": {"parts": ["Başka bir İZMİR"]}},
            "parent": "q",
        },
        "a": {
            "message": {"author": {"role": "assistant"}, "content": {"parts": ["Bir anlaşma"]}},
            "parent": "q",
        },
    },
}


def file(folder: Path, value: Any, name: str = "conversations.json") -> str:
    path = folder / name
    path.write_text(json.dumps(value, ensure_ascii=False))
    return str(path)


async def imported(folder: Path) -> str:
    done = await qwill("chats", "import", file(folder, [CHATGPT, 7]), "--json")
    assert done.code == 0
    said = done.json
    assert (said["chats"], said["messages"], said["skipped"]) == (1, 3, 0)
    return str(said["ids"][0])


async def test_an_imported_chat_is_listed_found_renamed_archived_deleted_and_brought_back(
    tmp_path: Path,
) -> None:
    chat = await imported(tmp_path)
    (listed,) = (await qwill("chats", "list", "--json")).json
    assert (listed["id"], listed["title"], listed["model"]) == (chat, "Kira sözleşmesi", "demo")
    (hit,) = (await qwill("chats", "search", "izmir", "--json")).json
    assert (hit["chat"], hit["part"]) == (chat, "answer")
    assert hit["excerpt"][hit["start"] : hit["end"]] == "İZMİR"
    assert "İZMİR" in (await qwill("chats", "search", "ızmır")).out
    assert (await qwill("chats", "rename", "Kira sözleşmesi", "机器\x1b[2J学习")).code == 0
    (listed,) = (await qwill("chats", "list", "--json")).json
    assert listed["title"] == "机器[2J学习"
    assert (await qwill("chats", "archive", chat[:6])).code == 0
    assert (await qwill("chats", "list", "--json")).json == []
    assert len((await qwill("chats", "list", "--archived", "--json")).json) == 1
    assert len((await qwill("chats", "search", "izmir", "--json")).json) == 1
    assert (await qwill("chats", "archive", chat, "--undo")).code == 0
    assert (await qwill("chats", "delete", chat)).code == 0
    assert (await qwill("chats", "search", "izmir", "--json")).json == []
    assert (await qwill("chats", "delete", chat, "--undo", "--json")).json["id"] == chat
    gone = await qwill("chats", "rename", "nobody", "x")
    assert gone.code == 1
    assert gone.err.count("\n") == 1


@shared
async def test_export_names_files_by_titles_and_never_writes_over(tmp_path: Path) -> None:
    chat = await imported(tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    for name in ("Kira sözleşmesi.md", "Kira sözleşmesi (2).md"):
        done = await qwill("chats", "export", chat, "-o", str(out), "--json")
        assert done.json["files"] == [str(out / name)]
    text = (out / "Kira sözleşmesi.md").read_text()
    assert text.startswith('---\ntitle: "Kira sözleşmesi"\n')
    assert "Bir anlaşma" in text
    assert "İZMİR" not in text
    row = json.loads((await qwill("chats", "export", chat, "--format", "jsonl", "-o", "-")).out)
    assert row == {
        "messages": [{"role": "user", "content": "Nedir?"}, {"role": "assistant", "content": "Bir anlaşma"}]
    }


async def test_everything_goes_out_and_comes_back_with_all_versions(tmp_path: Path) -> None:
    await imported(tmp_path)
    target = tmp_path / "all.json"
    assert (await qwill("chats", "export", "--all", "-o", str(target))).code == 0
    again = await qwill("chats", "import", str(target), "--json")
    chat = again.json["ids"][0]
    client = await connect(Target())
    tree: commands.TreePage = await client.request(commands.ReadTree(chat))
    page: commands.ChatPage = await client.request(commands.ReadChat(chat))
    await client.close()
    assert sorted(m.text for m in tree.messages) == ["Başka bir İZMİR", "Bir anlaşma", "Nedir?"]
    assert [m.text for m in page.messages] == ["Nedir?", "Bir anlaşma"]
    assert page.messages[-1].versions == 2
    assert {m.origin for m in tree.messages} == {"imported"}
    copies = (await qwill("chats", "list", "--json")).json
    assert [each["title"] for each in copies] == ["Kira sözleşmesi"] * 2


@shared
async def test_an_import_names_what_it_left_out_and_fails_only_when_nothing_came(tmp_path: Path) -> None:
    bad = file(tmp_path, [{"messages": [{"role": "user", "content": "ok"}]}, {"a": 1}], "bad.json")
    some = await qwill("chats", "import", bad)
    assert some.code == 0
    assert "chat 2" in some.err
    none = await qwill("chats", "import", file(tmp_path, {"a": 1}, "none.json"))
    assert none.code == 1
    absent = await qwill("chats", "import", str(tmp_path / "absent.json"))
    assert absent.code == 1
    assert absent.err.count("\n") == 1
    assert "Traceback" not in some.err + none.err + absent.err


@shared
async def test_a_chat_that_is_saved_nowhere_is_neither_listed_nor_found() -> None:
    client = await connect(Target())
    chat: specs.ChatInfo = await client.request(commands.NewChat(saved=False))
    await client.request(commands.Send(chat.id, "pineapple"))
    hits: commands.HitList = await client.request(commands.SearchChats("pineapple"))
    listed: commands.ChatList = await client.request(commands.ListChats(archived=True))
    tree: commands.TreePage = await client.request(commands.ReadTree(chat.id))
    await client.close()
    assert hits.hits == ()
    assert chat.id not in [each.id for each in listed.chats]
    assert tree.messages[0].text == "pineapple"
