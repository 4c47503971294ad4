"""The catalogue of model families: its schema, its numbers, its ranking and its command."""

from __future__ import annotations

import json
import re

import pytest
from msgspec.structs import replace
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

from engine.catalogue.rank import QUICK, Pick, what_fits
from engine.catalogue.read import Entry, entries, entry_of, read_catalogue
from engine.models.machine import MachineFacts
from tui.cli import catalogue as command
from tui.cli.main import DONE, USAGE, main

GIB = 1 << 30
LAPTOP = MachineFacts("RAM", 6 * GIB, 8 * GIB, bandwidth=45e9)
FAMILIES = {
    *("Qwen1.5", "Qwen2", "Qwen2-Math", "Qwen2-VL", "Qwen2.5", "Qwen2.5-Coder", "Qwen2.5-Math", "Qwen2.5-VL"),
    *("Qwen3", "Qwen3-Coder", "Qwen3-VL", "Qwen3.5", "QwQ", "DeepSeek-R1 distills on Qwen"),
    *("Llama 3", "Mistral", "Falcon", "OLMo 2", "OLMo 3", "Gemma 3", "SmolLM2", "SmolLM3", "Phi"),
}
ALL = read_catalogue()


def named(picks: list[Pick]) -> list[str]:
    return [pick.entry.id for pick in picks]


def test_every_family_is_there_and_every_id_only_once() -> None:
    assert {entry.family for entry in ALL} >= FAMILIES
    ids = [entry.id.lower() for entry in ALL]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("entry", ALL, ids=lambda entry: entry.id)
def test_an_entry_says_what_a_person_asks_for(entry: Entry) -> None:
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", entry.id)
    assert re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])", entry.released)
    assert entry.licence
    assert entry.strengths
    assert entry.use
    assert "weights" in entry.open
    assert entry.context >= 2048
    assert ("small" in entry.use) == (entry.parameters < 2.7e9)


@pytest.mark.parametrize("entry", [e for e in ALL if e.shape], ids=lambda entry: entry.id)
def test_parameters_agree_with_the_shape(entry: Entry) -> None:
    """Attention and a gated MLP in each layer, and the embeddings, make what one token passes through."""
    shape = entry.shape
    assert shape is not None
    attention = shape.hidden * shape.head_dim * 2 * (shape.heads + shape.kv_heads)
    gated = entry.model_type != "falcon"
    mlp = (3 if gated else 2) * shape.hidden * shape.intermediate
    told = shape.layers * (attention + mlp) + shape.embedding * (1 if shape.tied else 2) + entry.tower
    assert told == pytest.approx(entry.active or entry.parameters, rel=0.3)


@pytest.mark.parametrize("entry", ALL, ids=lambda entry: entry.id)
def test_parts_are_no_larger_than_the_whole(entry: Entry) -> None:
    shape = entry.shape
    assert entry.active <= entry.parameters
    assert entry.parameters - entry.active <= entry.experts or not entry.active or shape is None
    assert entry.experts + entry.tower < entry.parameters
    if shape is not None:
        assert shape.sliding_layers + shape.linear_layers < shape.layers or not shape.linear_layers
        assert bool(shape.sliding_layers) == bool(shape.window)
        assert bool(shape.linear_layers) == bool(shape.state and shape.conv)


def test_names_that_carry_a_size_carry_the_right_one() -> None:
    for entry in ALL:
        size = re.search(r"-(\d+(?:\.\d+)?)B(?:-|$)", entry.name, re.IGNORECASE)
        if size and "gemma-4" not in entry.id:
            assert entry.parameters / 1e9 == pytest.approx(float(size[1]), rel=0.3, abs=0.7), entry.id


def test_every_model_type_is_one_that_transformers_implements_or_is_marked() -> None:
    unknown = {e.model_type for e in ALL if e.implemented} - set(CONFIG_MAPPING_NAMES)
    assert unknown == set()


def test_a_model_takes_from_its_family_what_it_does_not_say() -> None:
    three, seven = entry_of("Qwen/Qwen2.5-3B-Instruct"), entry_of("qwen/qwen2.5-7b-instruct")
    assert three is not None
    assert seven is not None
    assert three.licence.startswith("Qwen Research")
    assert (seven.licence, seven.maker, seven.family) == ("Apache-2.0", "Qwen", "Qwen2.5")
    assert entry_of("nobody/nothing") is None


def test_a_broken_entry_is_named() -> None:
    with pytest.raises(ValueError, match="maker/model"):
        entries({"family": [{"name": "F", "model": [{"id": "maker/model", "parameters": "many"}]}]})


def test_what_fits_comes_first_and_in_the_best_form_that_is_quick() -> None:
    picks = what_fits(ALL, LAPTOP, use="chat")
    fitting = [pick for pick in picks if pick.fits]
    assert named(picks)[: len(fitting)] == named(fitting)
    assert fitting[0].entry.id == "Qwen/Qwen3.5-4B"
    assert fitting[0].estimate.kind == "int4"
    assert "bfloat16 has no room" in fitting[0].why
    small = next(pick for pick in fitting if pick.entry.id == "Qwen/Qwen3-0.6B")
    assert small.estimate.kind == "bfloat16"
    assert small.estimate.tokens_per_s >= QUICK


def test_a_form_that_fits_but_is_slow_gives_way_to_a_quicker_one() -> None:
    roomy = replace(LAPTOP, free=40 * GIB, total=48 * GIB)
    pick = next(p for p in what_fits(ALL, roomy) if p.entry.id == "Qwen/Qwen3-8B")
    assert pick.estimate.kind == "int4"
    assert "bfloat16 has at most 2.9 tokens/s" in pick.why
    unmeasured = replace(roomy, bandwidth=0.0)
    pick = next(p for p in what_fits(ALL, unmeasured) if p.entry.id == "Qwen/Qwen3-8B")
    assert pick.estimate.kind == "bfloat16"


def test_a_use_leaves_only_what_is_good_for_it() -> None:
    assert all("code" in pick.entry.use for pick in what_fits(ALL, LAPTOP, use="code"))
    assert "Qwen/Qwen2.5-Math-7B-Instruct" in named(what_fits(ALL, LAPTOP, use="maths"))
    assert what_fits(ALL, LAPTOP, use="small")[0].entry.parameters < 2.7e9


def test_without_a_reading_nothing_is_said_to_fit() -> None:
    picks = what_fits(ALL, None)
    assert {pick.estimate.verdict for pick in picks} == {"unknown"}
    assert len(picks) == len(ALL)


def test_a_gpu_is_offered_the_forms_that_gpus_have() -> None:
    card = MachineFacts("VRAM", 8 * GIB, 8 * GIB, shared=False)
    kinds = {pick.estimate.kind for pick in what_fits(ALL, card)}
    assert kinds <= {"bfloat16", "bnb8", "nf4"}
    assert "nf4" in kinds


def test_the_command_lists_all_and_says_what_it_counted_with(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "catalogue"]) == DONE
    out = capsys.readouterr().out
    assert out.splitlines()[1].startswith(ALL[0].id)
    assert "kept free; for chats of up to 8,192 tokens." in out
    assert all(entry.id in out for entry in ALL)


def test_the_command_as_json_by_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "catalogue", "--fits", "--use", "small", "--context", "1024", "--json"]) == DONE
    told = json.loads(capsys.readouterr().out)
    assert told["machine"]["total"] > 0
    for model in told["models"]:
        assert "small" in model["use"]
        assert model["fit"]["verdict"] == "fits"
        assert model["fit"]["context"] == 1024
    assert main(["models", "catalogue", "--use", "poetry"]) == USAGE


def test_no_room_is_said_in_words() -> None:
    full = replace(LAPTOP, free=0)
    picks = [pick for pick in what_fits(ALL, full) if pick.fits]
    assert picks == []
    assert command.closing(picks, full, None, fits=True)[0].startswith("Nothing fits now")
