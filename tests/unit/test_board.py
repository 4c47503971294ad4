"""What the workers say they hold, and what the monitor makes of it."""

from __future__ import annotations

import logging
import threading

import pytest

from engine.holdings import Board, Held, Known, holdings, own_resident, place
from engine.protocol.memory import Holding, Pool, TorchMemory
from engine.protocol.specs import ModelInfo

RAM = Pool("ram", "ram", main=True)
APU = (Pool("gpu0.gtt", "gtt", main=True, ours=900), Pool("gpu0.vram", "vram", ours=0), Pool("ram", "ram"))
CARD = (Pool("gpu0.vram", "vram", gpu="Card A", main=True, ours=900), Pool("gpu1.vram", "vram", gpu="Card B"))


def parts(found: tuple[Holding, ...]) -> list[tuple[str, int, str]]:
    return [(each.part, each.bytes, each.pool) for each in found]


def test_what_an_owner_holds_takes_the_place_of_what_it_held() -> None:
    board = Board()
    board.hold("caches", [Held("cache", 10)])
    board.hold("run", [Held("adapter", 3), Held("optimiser", 0)])
    board.hold("caches", [Held("cache", 20)])
    assert board.read().rows == (Held("cache", 20), Held("adapter", 3))
    board.hold("caches", [])
    board.drop("run")
    board.drop("nobody")
    assert board.read() == Known()


def test_models_come_and_go_with_their_state() -> None:
    board, info = Board(), ModelInfo("m", "M", state="ready", memory=7, device="cpu")
    board.model(info)
    assert board.read().rows == (Held("model", 7, "M", "cpu"),)
    board.model(ModelInfo("m", "M"))
    board.model(ModelInfo("s", "S", state="ready", memory=7, runs_on="server"))
    assert board.read().rows == ()
    # The process of a GGUF file has its weights in RAM, whatever it calls its device.
    board.model(ModelInfo("g", "G", state="ready", memory=7, runs_on="llama.cpp", device="Vulkan0"))
    assert board.read().rows[0].device == "cpu"


def test_a_new_engine_holds_nothing() -> None:
    board = Board()
    board.hold("a", [Held("cache", 1)])
    board.torch([TorchMemory("cuda:0", 1)])
    board.rest("r", 5)
    board.clear()
    assert board.read() == Known()


def test_what_nobody_claims_is_other_and_never_negative() -> None:
    known = Known((Held("model", 60, "M"), Held("cache", 10, "M")))
    assert parts(holdings(known, 100, (RAM,))) == [
        ("model", 60, "ram"),
        ("cache", 10, "ram"),
        ("other", 30, "ram"),
    ]
    assert parts(holdings(known, 50, (RAM,))) == [("model", 60, "ram"), ("cache", 10, "ram")]


def test_activations_are_what_a_step_has_beyond_its_rest() -> None:
    board = Board()
    board.hold("model", [Held("model", 60)])
    board.rest("r", 100)  # 40 that nobody claims
    board.hold("r", [Held("optimiser", 20)])  # it came with the first step
    found = parts(holdings(board.read(), 190, (RAM,), children=30))
    assert found == [
        ("model", 60, "ram"),
        ("optimiser", 20, "ram"),
        ("activations", 40, "ram"),
        ("other", 70, "ram"),
    ]
    assert sum(size for _, size, _ in found) == 190
    board.drop("r")
    assert parts(holdings(board.read(), 190, (RAM,))) == [("model", 60, "ram"), ("other", 130, "ram")]


def test_the_lowest_rest_counts_and_weights_that_are_mapped_only_do_not_count_as_activations() -> None:
    board = Board()
    board.hold("model", [Held("model", 60)])
    board.rest("r", 50)  # of the weights 10 or more were never read
    board.rest("r", 55)
    assert board.read().rest == -10
    assert ("activations", 20, "ram") in parts(holdings(board.read(), 70, (RAM,)))


def test_bytes_lie_in_the_pool_of_their_device() -> None:
    assert place("cpu", ()) == place("", APU) == place("CPU", APU) == "ram"
    assert place("cuda:0", APU) == "gpu0.gtt"
    assert place("cuda:1", CARD) == "gpu1.vram"
    assert place("Card B", CARD) == "gpu1.vram"
    assert place("a name that torch has for it", APU) == "gpu0.gtt"
    assert place("cuda:7", CARD) == "gpu0.vram"
    assert place("cuda:0", ()) == ""
    unified = (Pool("unified", "unified", main=True),)
    assert place("cpu", unified) == place("cuda:0", unified) == "unified"


def test_a_gpus_other_bytes_are_ours_there_less_what_is_claimed() -> None:
    known = Known(
        (Held("model", 500, "M", "cuda:0"), Held("activations", 100, "r", "cuda:0")),
        (TorchMemory("cuda:0", 600, 700),),
    )
    assert parts(holdings(known, 80, APU)) == [
        ("model", 500, "gpu0.gtt"),
        ("activations", 100, "gpu0.gtt"),
        ("other", 80, "ram"),
        ("other", 300, "gpu0.gtt"),
    ]
    shared = (Pool("gpu0.unified", "unified", main=True, ours=780),)  # the engine's own and torch's
    assert ("other", 80, "gpu0.unified") in parts(holdings(known, 80, shared))
    assert ("other", 100, "gpu0.unified") in parts(holdings(known, 80, shared))
    silent = (Pool("gpu0.vram", "vram", main=True), RAM)  # a driver that does not say what is ours
    assert ("other", 100, "gpu0.vram") in parts(holdings(known, 80, silent))


def test_errors_while_counting_end_at_the_board_and_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    board = Board()
    with caplog.at_level(logging.ERROR, "engine.holdings"):
        for _ in range(3):
            with board.unharmed("the caches"):
                raise RuntimeError("device-side assert")
        with board.unharmed("a run"):
            raise MemoryError
    assert [record.getMessage() for record in caplog.records] == [
        "the caches could not be counted",
        "a run could not be counted",
    ]


def test_a_peak_is_told_once() -> None:
    board = Board()
    board.peaked("r", 5, 9)
    assert board.take_peak("r") == (5, 9)
    assert board.take_peak("r") == (0, 0)


def test_many_threads_may_write_while_one_reads() -> None:
    board, over = Board(), threading.Event()

    def write(number: int) -> None:
        while not over.is_set():
            board.hold(f"owner {number}", [Held("cache", number + 1)])
            board.rest(f"run {number}", number)
            board.drop(f"owner {number}")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(500):
            assert all(row.part == "cache" for row in board.read().rows)
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_what_this_process_has_resident() -> None:
    assert own_resident() > 8 << 20
