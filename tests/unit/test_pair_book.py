"""Questions and answers while they are written."""

from __future__ import annotations

from tui.pair_book import EMPTY, Pair, PairBook


def test_a_new_pair_waits_once_and_only_whole_pairs_count() -> None:
    book = PairBook()
    book.put("What?", "")
    assert (book.whole(), book.begun()) == ((), 1)
    book.put("What?", "That.")
    book.add()
    book.add()
    assert book.pairs == [Pair("What?", "That."), EMPTY]
    assert (book.whole(), book.begun()) == ((Pair("What?", "That."),), 0)


def test_what_was_deleted_comes_back_where_it_was_newest_first() -> None:
    pairs = [Pair(str(number), "a") for number in range(3)]
    book = PairBook(pairs)
    book.go(1)
    book.delete()
    book.delete()
    assert book.pairs == pairs[:1]
    assert book.undo()
    assert book.undo()
    assert (book.pairs, book.at) == (pairs, 1)
    assert not book.undo()


def test_the_last_one_leaves_an_empty_one_and_still_comes_back() -> None:
    book = PairBook([Pair("q", "a")])
    book.delete()
    assert book.pairs == [EMPTY]
    assert book.undo()
    assert book.pairs == [Pair("q", "a")]
