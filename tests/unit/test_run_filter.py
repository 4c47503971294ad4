"""The filter over runs, sorting, what differs, the sentence of what changed, tables to copy."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.api import events, runs
from tests.support.fake_runs import SPEC, run_info
from tui.reduce_runs import apply_run
from tui.run_diff import against, differing, sentence, signed
from tui.run_export import text_of
from tui.run_filter import parse
from tui.run_picks import Picks
from tui.run_sizes import memory_words, rows_words, trust_words
from tui.run_values import KEYS, ordered, plain_number, shown, value
from tui.state import EngineState
from tui.train_words import need_words
from tui.widgets.run_facts import facts


def run(number: int, name: str, *, spec: dict[str, object] | None = None, **changes: object) -> runs.RunInfo:
    return run_info(number, name=name, spec=replace(SPEC, name=name, **(spec or {})), **changes)


RUNS = [
    run(
        1, "legal-r16", eval_loss=1.97, tags=("legal",), state="done", peak=6 << 30, started=1.0, ended=841.0
    ),
    run(2, "legal-dora", spec={"method": "dora"}, eval_loss=1.94, tags=("legal", "keep"), state="done"),
    run(3, "notes-q", spec={"quant": "nf4", "rate": 1e-4}, eval_loss=2.4, state="failed", note="Too small"),
    run(4, "fresh", state="queued"),
]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("", "1234"),
        ("tag:legal eval<2", "12"),
        ("tag:legal -tag:keep", "1"),
        ("method:dora or state:failed", "23"),
        ("method:qlora", "3"),
        ("method:lora", "134"),
        ("lr>=4e-3", "124"),
        ("lr=1e-4", "3"),
        ("name~LEGAL", "12"),
        ("legal", "12"),
        ("small", "3"),
        ('"too small"', "3"),
        ('note:"too small"', "3"),
        ("eval!=2.4", "124"),
        ("peak>5.9G", "1"),
        ("time>=14min", "1"),
        ("data:pirate", "1234"),
        ("state:done eval<1.95 or fresh", "24"),
        ("eval<2%", ""),
    ],
)
def test_a_filter_lets_through_what_it_says(words: str, found: str) -> None:
    read = parse(words)
    assert read.fault == ""
    assert "".join(each.id[3] for each in read.keep(RUNS)) == found


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ("colour:red", "There is no `colour` to filter by."),
        ("eval<small", "`eval<small` needs a number, such as eval<2."),
        ("eval<", "`eval<` needs a value after it."),
        ("or legal", "`or` stands between two terms."),
        ("legal or", "`or` stands between two terms."),
        ('"legal', "A quotation mark is not closed."),
    ],
)
def test_a_faulty_filter_says_what_is_wrong_and_hides_nothing(words: str, fault: str) -> None:
    read = parse(words)
    assert read.fault == fault
    assert read.keep(RUNS) == RUNS


@given(st.text(max_size=40))
def test_no_text_breaks_the_filter(words: str) -> None:
    assert len(parse(words).keep(RUNS)) <= len(RUNS)


@pytest.mark.parametrize("key", KEYS)
def test_runs_can_be_sorted_by_every_metric_and_setting(key: str) -> None:
    for down in (False, True):
        found = ordered(RUNS, key, down=down)
        assert sorted(each.id for each in found) == [each.id for each in RUNS]
        there = [value(each, key) not in (None, "", ()) for each in found]
        assert there == sorted(there, reverse=True)
    assert all(isinstance(shown(key, value(each, key)), str) for each in RUNS)


def test_sorting_by_eval_puts_what_has_none_last_either_way() -> None:
    assert [each.id[3] for each in ordered(RUNS, "eval", down=False)] == ["2", "1", "3", "4"]
    assert [each.id[3] for each in ordered(RUNS, "eval", down=True)] == ["3", "1", "2", "4"]


def test_only_the_settings_that_differ_are_listed() -> None:
    found = differing(RUNS[:3])
    assert [(each.label, each.values) for each in found] == [
        ("method", ("LoRA", "DoRA", "QLoRA")),
        ("rate", ("4e-3", "4e-3", "1e-4")),
    ]
    assert differing(RUNS[:1]) == []
    assert against(RUNS[0], RUNS[2]) == "method QLoRA, rate 1e-4"
    assert against(RUNS[0], RUNS[0]) == "–"


def test_what_changed_is_one_sentence() -> None:
    before = run(1, "a", eval_loss=1.97, spec={"steps": 480, "rate": 1e-4})
    after = run(2, "b", eval_loss=1.90, spec={"steps": 600, "rate": 2e-4, "rank": 32, "alpha": 64})
    assert sentence(before, after) == "rank ×2, +120 steps, rate ×2 → eval −0.07"
    assert (
        sentence(before, replace(before, eval_loss=None, loss=None)) == "same settings → nothing measured yet"
    )
    assert [signed(each) for each in (0.0, -0.004, 0.12, -0.07)] == ["±0", "−0.004", "+0.12", "−0.07"]


def test_more_rows_are_a_cause_of_their_own() -> None:
    before = run(1, "a", eval_loss=1.97, rows=240, data_hash="aa")
    after = run(2, "b", eval_loss=1.90, rows=360, data_hash="bb")
    assert sentence(before, after) == "+120 rows → eval −0.07"
    assert "rows" not in sentence(before, replace(after, rows=0))  # not counted yet


def test_marked_replies_are_told_as_such_and_not_as_a_file() -> None:
    for data in ("marked:", "/some/where/marked-messages-0123456789ab.jsonl"):
        assert shown("data", data) == "my marked replies"
    assert shown("data", "/some/where/marked-up.jsonl") == "marked-up.jsonl"


def test_what_it_took_stands_beside_what_was_foretold() -> None:
    known = run(1, "a", predicted=900 << 20, measured=1000 << 20, rows=1204, left_out=12)
    assert memory_words(known) == "predicted 900 M, measured 1.0 G (+11 %)"
    assert rows_words(known) == "1,204, 12 answers left out"
    assert memory_words(replace(known, measured=0)) == "predicted 900 M"
    assert memory_words(run(1, "a")) == rows_words(run(1, "a")) == ""
    told = dict(facts(known, "Base"))
    assert (told["predicted"], told["measured"]) == ("900 M", "1.0 G (+11 %)")


def test_an_estimate_says_how_far_it_was_off_here() -> None:
    known = runs.Estimate(rows=2, steps=4, free=1 << 30, error=0.08, count=5)
    assert need_words(known).endswith("free · ±8 % of 5 runs here")
    assert trust_words(replace(known, error=0.0)) == ""


def test_the_time_left_is_shown_before_the_first_step() -> None:
    state = EngineState()
    begun = run(1, "a", state="running", phase="rehearsal", eta_s=42.0, step=0)
    apply_run(state, events.RunChanged(begun))
    assert state.etas == {begun.id: 42.0}
    apply_run(state, events.RunStepped(begun.id, runs.StepPoint(1, loss=2.0), 38.0))
    apply_run(state, events.RunChanged(replace(begun, step=1)))
    assert state.etas == {begun.id: 38.0}


def test_numbers_are_short_and_exact_enough() -> None:
    found = [plain_number(each) for each in (2e-4, 0.05, 16, 1204, 1.5e-5, 0.0, float("nan"))]
    assert found == ["2e-4", "0.05", "16", "1,204", "1.5e-5", "0", "NaN"]


def test_tables_escape_what_their_form_would_read_as_its_own() -> None:
    odd = run(5, "=cmd|' /C & 50%_x\x1b[31m", eval_loss=1.5, spec={"rank": 8})
    markdown = text_of([RUNS[0], odd], "markdown")
    assert "\\|" in markdown
    assert "\x1b" not in markdown
    rows = list(csv.reader(io.StringIO(text_of([RUNS[0], odd], "csv"))))
    assert rows[2][0].startswith("'=cmd")
    assert "1.5" in rows[2]
    assert r"\& 50\%\_x" in text_of([RUNS[0], odd], "latex")


def test_a_letter_stays_with_its_run_and_a_free_one_is_taken_again() -> None:
    picks = Picks()
    for each in RUNS[:3]:
        picks.toggle(each.id)
    picks.toggle(RUNS[0].id)
    assert picks.chosen == {RUNS[1].id: 1, RUNS[2].id: 2}
    picks.toggle(RUNS[3].id)
    assert picks.chosen[RUNS[3].id] == 0
    assert not picks.take([each.id for each in RUNS[1:]])
    assert picks.chosen == {}
