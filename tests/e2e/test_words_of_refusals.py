"""What a person reads on the command line after asking for what cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.benching import bench_model
from engine.network_words import network_words
from engine.protocol.errors import EngineError
from engine.protocol.runs import AdapterInfo
from engine.servers.endpoint import Endpoint, checked
from tests.support.tiny_gguf import demo_gguf
from tui.cli.adapters import split_ref
from tui.format import parameters


def test_a_failed_connection_is_told_without_the_systems_number() -> None:
    assert network_words(OSError("[Errno -2] Name or service not known")) == (
        "No machine of this name is known here"
    )
    assert network_words(OSError("All connection attempts failed")) == "Nothing takes connections there"
    assert network_words(OSError("[Errno 113] No route to host")) == "No route to host"
    assert network_words(TimeoutError()) == "TimeoutError"


def test_a_wrong_name_of_a_server_is_told_in_whole_sentences() -> None:
    with pytest.raises(EngineError) as failed:
        checked(Endpoint(name="b ad", url="http://127.0.0.1:9/v1"))
    assert failed.value.info.detail.startswith("A name has letters")


def test_a_gguf_file_is_not_measured_as_a_folder_of_tensors(tmp_path: Path) -> None:
    path = demo_gguf(tmp_path / "one.gguf")
    with pytest.raises(EngineError, match="one is a GGUF file") as failed:
        bench_model(str(path))
    assert failed.value.info.code == "bench_refused"


def test_a_weight_that_is_none_is_told_from_an_unknown_adapter() -> None:
    known = (AdapterInfo(id="0001-pirate", name="pirate", path="/somewhere/pirate"),)
    with pytest.raises(EngineError, match="'7' is no weight"):
        split_ref(known, "pirate:7")
    assert split_ref(known, "pirate:0.5") == ("pirate", 0.5)
    assert split_ref(known, "other:7") == ("other:7", None)


@pytest.mark.parametrize(("count", "words"), [(999_885_952, "1.0B"), (999_400_000, "999M"), (999, "999")])
def test_what_rounds_to_a_thousand_takes_the_next_unit(count: int, words: str) -> None:
    assert parameters(count) == words
