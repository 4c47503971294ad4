"""The browser's rows: sections, filter, order, forms and speeds, as pure functions over the state."""

from __future__ import annotations

from msgspec.structs import replace

from engine.api import commands, entry_of, events, specs, what_fits
from tests.support.fake_engine import DEMO, REAL, SAMPLE, snapshot
from tui.forecast import Choice, measured, quants, rules_of, stepped
from tui.model_rows import Door, Heading, Known, Row, by_name
from tui.model_sections import items
from tui.reduce import apply, from_snapshot
from tui.state import EngineState, Turn
from tui.widgets.fit_lines import fit_bar
from tui.widgets.model_table import columns_for

BILLION = replace(REAL, parameters=1_000_000_000, dtype="bfloat16")
CODER = entry_of("Qwen/Qwen2.5-Coder-1.5B-Instruct")
FILE = specs.ModelInfo(
    id="/m/a.gguf", name="a", runs_on="llama.cpp", quant="Q4_K_M", bytes_on_disk=2 << 30, parameters=4 * 10**9
)


def state(**changes: object) -> EngineState:
    made = EngineState(bandwidth=30e9)
    from_snapshot(made, snapshot(**changes))
    return made


def known(engine: EngineState, *ids: str) -> Known:
    entries = [entry for entry in map(entry_of, ids) if entry is not None]
    picks = what_fits(entries, rules_of(engine).facts)
    return Known(picks=picks, entries=by_name(entries))


def listed(engine: EngineState, words: str = "", about: Known | None = None, **choices: Choice) -> list[Row]:
    about = about or Known()
    found = items(engine, about, rules_of(engine), words, choices)
    return [item for item in found if isinstance(item, Row)]


def test_rows_are_filtered_sorted_and_the_unusable_last() -> None:
    odd = replace(REAL, id="odd", name="aaa", support="unsupported", parameters=10**12)
    engine = state(models=(odd, DEMO, BILLION))
    assert [row.name for row in listed(engine)] == ["demo", "Qwen3-1.7B", "aaa"]
    assert [row.name for row in listed(engine, about=Known(sort="size"))][-1] == "aaa"
    assert [row.name for row in listed(engine, "QWEN/ 1.7")] == ["Qwen3-1.7B"]
    assert listed(engine, "qwen3 nothing") == []
    assert [row.name for row in listed(engine, "fits")] == ["demo", "Qwen3-1.7B"]


def test_the_catalogue_lists_what_is_not_here_and_is_found_by_use_licence_and_openness() -> None:
    engine = state(models=(DEMO, BILLION))
    about = known(engine, REAL.id, CODER.id, "Qwen/Qwen2.5-72B-Instruct")
    assert [row.id for row in listed(engine, about=about) if row.section == "catalogue"] == [CODER.id]
    found = items(engine, about, rules_of(engine), "", {})
    assert next(item for item in found if isinstance(item, Door)).words.startswith("all 2: 1 fit here")
    assert [row.id for row in listed(engine, "code apache", about)] == [REAL.id, CODER.id]
    assert [row.id for row in listed(engine, "72b", about)] == ["Qwen/Qwen2.5-72B-Instruct"]


def test_a_gguf_file_and_a_server_offer_no_form_to_pack_and_a_gpu_other_ones() -> None:
    engine = state(models=(FILE, REAL))
    rules = rules_of(engine)
    assert quants(FILE, rules) == ("",)
    assert quants(REAL, rules) == ("", "int8", "int4", "nf4")
    row = next(row for row in listed(engine) if row.id == FILE.id)
    assert (row.forecast.kind, row.forecast.parts.weights) == ("Q4_K_M", 2 << 30)
    gpu = specs.GpuSample("RTX", "nvidia", vram_total=8 << 30, vram_used=1 << 30)
    info = replace(snapshot().engine, devices=(specs.DeviceFinding("RTX", "nvidia", usable=True),))
    on_gpu = state(models=(REAL,), monitor=replace(SAMPLE, gpus=(gpu,)), engine=info)
    assert quants(REAL, rules_of(on_gpu)) == ("", "bnb8", "nf4")


def test_a_server_needs_no_memory_here() -> None:
    served = specs.ModelInfo(id="s/x", name="x", source="server", runs_on="server")
    row = listed(state(models=(served,)))[0]
    assert (row.verdict, row.forecast, row.origin) == ("server", None, "s")


def test_measured_replies_stand_before_predictions_and_teach_the_speed_of_the_memory() -> None:
    held = replace(BILLION, state="ready", memory=2_000_000_000)
    engine = state(models=(held,))
    stats = specs.ReplyStats(tokens_per_s=20.0)
    engine.turns = {"t": Turn("t", "c", "assistant", model=held.id, stats=stats)}
    assert measured(engine, held.id) == (20.0, 1)
    assert listed(engine)[0].speed == 20.0
    assert rules_of(engine).facts.bandwidth == 40e9


def test_downloads_come_and_go_with_their_events() -> None:
    engine = state(models=(DEMO,))
    fetch = commands.DownloadInfo("d", CODER.id, "main", "a", "running", total=10, done=4)

    apply(engine, events.DownloadProgress(download=fetch))
    row = next(row for row in listed(engine, about=known(engine, CODER.id)) if row.id == CODER.id)
    assert row.download == fetch
    apply(engine, events.DownloadGone(download="d"))
    assert engine.downloads == {}


def test_every_section_has_its_heading_even_when_it_is_empty() -> None:
    found = items(state(models=()), Known(), rules_of(state()), "", {})
    assert [item.section for item in found if isinstance(item, Heading)] == ["here", "catalogue", "hub"]


def test_the_bar_fills_its_width_and_marks_where_free_memory_ends() -> None:
    engine = state(models=(BILLION,))
    found = listed(engine)[0].forecast
    fitting = fit_bar(found, 8 << 30, 1 << 30, 60)
    assert fitting.cell_length == 60
    assert "┃" not in fitting.plain
    assert fitting.plain.endswith("╱")
    over = fit_bar(found, 1 << 30, 1 << 29, 60)
    assert over.cell_length == 60
    assert "┃" in over.plain


def test_the_context_steps_by_twos_and_never_beyond_the_model() -> None:
    assert stepped(8192, 1, 40960) == 16384
    assert stepped(32768, 1, 40960) == 40960
    assert stepped(40960, 1, 40960) == 40960
    assert stepped(1024, -1, 0) == 1024


def test_columns_leave_from_the_least_needed_on() -> None:
    assert [column.title for column in columns_for(80)] == ["from", "as", "size", "tok/s", "fits?"]
    assert [column.title for column in columns_for(40)] == ["size", "fits?"]
    assert columns_for(20) == []
