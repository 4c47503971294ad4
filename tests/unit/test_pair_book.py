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


FOUND, BEGUN = [Pair("q", "a"), Pair("r", "b")], [Pair("half", "")]


def test_what_was_there_comes_before_what_was_typed_meanwhile_and_the_cursor_stays() -> None:
    book = PairBook()
    book.put("one", "1")
    book.add()
    book.put("tw", "")
    book.lay_before(FOUND, BEGUN)
    assert book.pairs == [*FOUND, *BEGUN, Pair("one", "1"), Pair("tw", "")]
    assert book.pair == Pair("tw", "")


def test_where_nothing_was_typed_one_goes_on_with_what_was_begun_or_a_new_pair() -> None:
    book = PairBook()
    book.lay_before(FOUND, BEGUN)
    assert (book.pairs, book.pair) == ([*FOUND, *BEGUN], BEGUN[0])
    book = PairBook()
    book.lay_before(FOUND, ())
    assert (book.pairs, book.pair) == ([*FOUND, EMPTY], EMPTY)
    book = PairBook()
    book.lay_before((), ())
    assert (book.pairs, book.at) == ([EMPTY], 0)
