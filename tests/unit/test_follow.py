"""Following, pausing and the count of new lines, as a machine without a screen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.follow import TOLERANCE, Follow

steps = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200), st.integers(-5, 30)), max_size=30)


def paused(unseen: int = 0) -> Follow:
    return Follow(following=False, unseen=unseen)


@pytest.mark.parametrize("new", [0, 98, 99])
def test_any_step_up_pauses_even_within_the_tolerance(new: int) -> None:
    follow = Follow()
    follow.scrolled(100, new, 100)
    assert not follow.following


@pytest.mark.parametrize(("new", "following"), [(97, False), (98, True), (100, True)])
def test_moving_down_to_the_last_lines_resumes(new: int, following: bool) -> None:
    follow = paused()
    follow.scrolled(90, new, 100)
    assert follow.following is following
    assert TOLERANCE == 2


def test_resting_near_the_end_resumes_nothing() -> None:
    follow = paused()
    follow.scrolled(99, 99, 100)
    assert not follow.following


def test_the_end_of_what_is_shown_is_not_the_end_while_newer_messages_are_off_the_screen() -> None:
    follow = paused()
    follow.scrolled(90, 100, 100, whole=False)
    assert not follow.following


def test_end_resumes_and_clears_the_count() -> None:
    follow = paused(14)
    follow.end()
    assert follow == Follow(following=True, unseen=0)


def test_lines_below_are_counted_and_never_move_the_reader() -> None:
    follow = paused()
    assert follow.grew(below=3) == 0
    assert follow.grew(below=2) == 0
    assert follow.unseen == 5


def test_lines_above_move_the_row_and_are_not_new() -> None:
    follow = paused()
    assert follow.grew(above=40, below=1) == 40
    assert follow.unseen == 1
    assert follow.grew(above=-7) == -7


def test_lines_that_the_reader_has_scrolled_to_are_not_new_any_more() -> None:
    follow = paused(20)
    follow.scrolled(50, 60, 75)
    assert follow.unseen == 15


def test_while_following_nothing_counts_and_nothing_is_held() -> None:
    follow = Follow()
    assert follow.grew(above=9, below=9) == 0
    assert follow.unseen == 0


def test_selecting_the_newest_message_goes_on_following() -> None:
    follow = Follow()
    follow.selected(newest=True)
    assert follow.following
    follow.selected(newest=False)
    assert not follow.following


def test_a_new_chat_starts_at_its_end_or_where_it_was_left() -> None:
    follow = paused(3)
    follow.new_chat()
    assert follow == Follow()
    follow.new_chat(reading=True)
    assert follow == Follow(following=False, unseen=0)


def test_a_pause_starts_its_count_anew() -> None:
    follow = paused(9)
    follow.up()
    assert follow.unseen == 9
    follow.end()
    follow.up()
    assert follow.unseen == 0


@given(steps)
def test_the_count_is_never_negative_and_none_while_following(moves: list[tuple[int, int, int]]) -> None:
    follow = Follow()
    for old, new, below in moves:
        follow.scrolled(old, new, 200)
        follow.grew(below=below)
        assert follow.unseen >= 0
        assert not (follow.following and follow.unseen)
