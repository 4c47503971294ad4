"""Search meets words the way their languages do, and shows them as they were written."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from engine.protocol.specs import ChatInfo, Message
from engine.store import Store
from engine.store.excerpt import excerpt
from engine.store.fold import fold, phrase, words
from engine.store.migrate import migrate
from engine.store.schema import MIGRATIONS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path / "qwill.db")
    opened.add_chat(ChatInfo("c", created=1.0, updated=1.0))
    yield opened
    opened.close()


def say(store: Store, text: str, thinking: str = "", id_: str = "m") -> None:
    store.add_message(Message(id_, "c", "assistant", text, thinking, created=2.0))


LANGUAGES = [
    ("Türkçe", "İSTANBUL'da ılık bir gün", ["istanbul", "ISTANBUL", "ıstanbul", "İstanbul", "ILIK", "ilik"]),
    ("Turkish words", "Işık ve ağaç; çiğdem, öğüt", ["isik", "IŞIK", "agac", "cigdem", "ogut", "ışık"]),
    ("German", "Die Straße führt über die GRÖSSE hinaus", ["strasse", "STRASSE", "uber", "größe", "grosse"]),
    ("Greek", "Ο Οδυσσεύς γύρισε σπίτι", ["οδυσσευς", "ΟΔΥΣΣΕΥΣ", "οδυσσευσ", "γυρισε", "Σπίτι"]),
    ("French", "Le cœur a ses œuvres d'été à Nîmes", ["coeur", "ete", "nimes", "oeuvres"]),
    ("Chinese", "我想学习机器学习和深度神经网络", ["机器学习", "机器", "神经", "网", "络", "学"]),
    ("Japanese", "昨日はカタカナとﾊﾝｶｸを勉強しました。", ["カタカナ", "ハンカク", "勉強", "しました", "昨"]),
    ("Japanese voicing", "がっこうへ行く", ["がっこう", "行く"]),
    ("Korean", "초등학교에서 공부합니다", ["학교", "초등학교", "공부", "교"]),
    ("Thai", "ผมเรียนภาษาไทยที่โรงเรียน", ["ภาษาไทย", "โรงเรียน", "เรียน", "ผม"]),
    ("Arabic", "مَرْحَبًا بالعالَم إلى المدرسة", ["مرحبا", "بالعالم", "الى", "المدرسه", "مرحـــبا"]),
    ("Persian", "کتاب فارسی", ["كتاب", "فارسي", "کتاب"]),
    ("Hebrew", "שָׁלוֹם עולם", ["שלום", "עולם"]),
    ("Russian", "Ещё один ёжик", ["еще", "ЁЖИК", "ежик"]),
    ("Hindi", "मैं हिन्दी सीखता हूँ", ["हिन्दी", "सीख"]),
    ("Full width", "Ｑｗｅｎ３ の ﬁne tuning", ["qwen3", "fine", "ＦＩＮＥ"]),
    ("Mixed", "用Python写的AI模型v2很好", ["python", "写的", "AI模型", "模型v2", "Python写"]),
    ("Code", "call torch.nn.functional.silu(x) with C++17", ["torch.nn", "functional", "silu", "c++17"]),
]
CASES = [(name, text, query) for name, text, queries in LANGUAGES for query in queries]


@pytest.mark.parametrize(
    ("name", "text", "query"), CASES, ids=[f"{name}: {query}" for name, _, query in CASES]
)
def test_a_word_is_found_as_its_language_reads_it(store: Store, name: str, text: str, query: str) -> None:
    say(store, "Something else altogether, so that the index holds more.", id_="o")
    say(store, f"{'filler ' * 40}{text}{' filler' * 40}")
    (hit,) = store.search(query)
    assert (hit.message, hit.part) == ("m", "answer")
    assert any(word in hit.excerpt for word in text.split()), hit.excerpt


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("かっこう", "がっこう"),
        ("机会很大", "机器"),
        ("器机", "机器"),
        ("ภาษา", "ภาพ"),
        ("한국", "국한"),
        ("concatenate", "cat"),
        ("deniz", "dönüz"),
    ],
)
def test_what_is_another_word_is_not_found(store: Store, text: str, query: str) -> None:
    say(store, text)
    assert store.search(query) == []


def test_the_beginning_of_any_word_is_enough_and_all_words_must_be_there(store: Store) -> None:
    say(store, "Learning rate schedules with warm-up")
    assert len(store.search("sched learn")) == 1
    assert store.search("sched nothing") == []


def test_thoughts_are_searched_and_named(store: Store) -> None:
    say(store, "The answer is four.", "Hmm, the Würfel has six sides")
    (hit,) = store.search("wurfel")
    assert hit.part == "thinking"
    assert "Würfel has six" in hit.excerpt


def test_the_hit_stands_in_the_middle_of_the_original_text() -> None:
    text = "Önce. " * 300 + "Burada DİREKSİYON var. " + "Sonra. " * 300
    words_around, start, end = excerpt(text, [fold("direksiyon")])
    assert words_around[start:end] == "DİREKSİYON"
    assert 40 < words_around.index("DİREKSİYON") < 90
    assert words_around.startswith("…")
    assert words_around.endswith("…")
    assert excerpt("a" * 3000 + "机器", ["机器"]).words.endswith("机器")
    assert excerpt("한국어", [fold("국")]) == ("한국어", 1, 2)


def test_a_chat_is_found_by_its_title_and_tags_before_its_messages(store: Store) -> None:
    say(store, "nothing of that")
    store.add_chat(ChatInfo("d", "Kira sözleşmesi", created=1.0, updated=5.0, tags=("hukuk", "ağaç")))
    store.add_message(Message("d1", "d", "user", "hukuk nedir?", created=6.0))
    hits = store.search("hukuk")
    assert [(hit.part, hit.message) for hit in hits] == [("title", "d1"), ("answer", "d1")]
    assert hits[0].tags == ("hukuk", "ağaç")
    assert hits[0].excerpt == "#hukuk #ağaç"
    assert [hit.part for hit in store.search("SÖZLEŞ")] == ["title"]
    assert [hit.part for hit in store.search("#agac")] == ["title"]


def test_archived_chats_are_found_and_deleted_messages_are_not(store: Store) -> None:
    say(store, "pineapple")
    store.change_chat("c", archived=True)
    (hit,) = store.search("pineapple")
    assert hit.archived
    store.delete_message("c", "m")
    assert store.search("pineapple") == []
    store.restore_message("c", "m")
    assert len(store.search("pineapple")) == 1


def test_a_mark_does_not_disturb_the_index(store: Store) -> None:
    say(store, "Größe")
    store._db.execute("UPDATE messages SET mark = 'good'")
    store.finish(msgspec.structs.replace(store.message("m"), text="Kürbis"))
    store._db.execute("INSERT INTO folded(folded) VALUES ('integrity-check')")
    assert store.search("grosse") == []
    assert len(store.search("kurbis")) == 1


def test_an_older_store_is_indexed_by_its_migration(tmp_path: Path) -> None:
    path = tmp_path / "qwill.db"
    old = sqlite3.connect(path)
    migrate(old, path, MIGRATIONS[:1])
    old.execute("INSERT INTO chats (id, created, updated) VALUES ('c', 1, 1)")
    old.execute(
        "INSERT INTO messages (id, chat, role, text, thinking, state, model, adapter, created)"
        " VALUES ('m', 'c', 'user', 'ILIK Straße', '机器学习', 'done', '', '', 1)"
    )
    old.commit()
    old.close()
    store = Store.open(path)
    for query in ("ılık", "strasse", "器学"):
        assert [hit.message for hit in store.search(query)] == ["m"]
    store.close()


KILLED = """
import sys
from pathlib import Path
from engine.protocol.specs import ChatInfo, Message
from engine.store import Store
store = Store.open(Path(sys.argv[1]))
store.add_chat(ChatInfo("c", created=1.0, updated=1.0))
for number in range(100_000):
    store.add_message(Message(f"m{number}", "c", "user", f"İstanbul günü {number}", created=2.0))
    print(number, flush=True)
"""


def test_a_killed_engine_leaves_index_and_messages_as_one(tmp_path: Path) -> None:
    path = tmp_path / "qwill.db"
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    for line in child.stdout:
        if int(line) >= 20:
            os.kill(child.pid, signal.SIGKILL)
            break
    child.wait()
    child.stdout.close()
    store = Store.open(path)
    count = store._db.execute("SELECT count(*) FROM messages").fetchone()[0]
    assert count > 20
    assert len(store.search("istanbul", 100_000)) == count
    store._db.execute("INSERT INTO folded(folded) VALUES ('integrity-check')")
    store.close()


def test_folding_says_the_same_of_a_text_however_it_is_composed() -> None:
    assert fold("É") == fold("E\u0301") == "e"
    assert fold("각") == fold("\u1100\u1161\u11a8")
    assert fold("ガ") == fold("ｶﾞ") != fold("カ")
    assert words("中文字") == "中文 文字 字"
    assert phrase("中文字") == ["中文", "文字"]
    assert phrase("don't") == ["don", "t"]
    assert words("a\x00b") == "a b"
