"""What a model takes by parts, against numbers computed by hand from the public configs."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from engine.api import specs
from engine.catalogue.read import entry_of
from engine.models import footprint
from engine.models.fit import estimate, kinds_for, longest_context, planned, remedy
from engine.models.machine import MIB, MachineFacts, kept_free, machine_facts
from engine.models.shape import Size, experts_of_config, shape_of_config
from engine.protocol.fit import Shape
from tests.support.fake_engine import SAMPLE
from tui.fit import parts

GIB = 1 << 30
LONG = 32_768
ROOMY = MachineFacts("RAM", 60 * GIB, 64 * GIB, bandwidth=50e9)
QWEN3_8B_CONFIG = {
    "model_type": "qwen3",
    "num_hidden_layers": 36,
    "hidden_size": 4096,
    "intermediate_size": 12288,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 151936,
    "tie_word_embeddings": False,
    "sliding_window": None,
    "use_sliding_window": False,
}


def size(id: str) -> Size:  # noqa: A002
    entry = entry_of(id)
    assert entry is not None
    return entry.size


def shape(id: str) -> Shape:  # noqa: A002
    found = size(id).shape
    assert found is not None
    return found


SMALL, MIDDLE = size("Qwen/Qwen3-0.6B"), size("Qwen/Qwen3-8B")


def test_qwen3_0_6b_in_bfloat16_at_32k() -> None:
    found = estimate(SMALL, ROOMY, context=LONG).parts
    assert found.weights == 596_049_920 * 2
    assert found.cache == 28 * 2 * 8 * 128 * 2 * LONG == 3_758_096_384
    assert found.working == 19_922_944 + 512 * LONG + 8 * 151_936 + 8 * 128 * 2 * LONG == 105_024_512
    assert found.total == 1_192_099_840 + 3_758_096_384 + 105_024_512 + 256 * MIB


def test_qwen3_8b_in_bfloat16_at_32k() -> None:
    found = estimate(MIDDLE, ROOMY, context=LONG).parts
    assert found.weights == 16_381_470_720
    assert found.cache == 36 * 2 * 8 * 128 * 2 * LONG == 4_831_838_208
    assert found.working == 65_011_712 + 16_777_216 + 1_215_488 + 67_108_864


def test_qwen3_8b_in_int4_keeps_its_embedding_and_has_its_head_in_8_bits() -> None:
    embedding = 151_936 * 4096
    body = 8_190_735_360 - 2 * embedding
    head = embedding + 2 * 151_936
    held = footprint.weights(MIDDLE, "int4")
    assert held.held == 2 * embedding + body * 5 // 8 + head == 6_208_590_720
    assert held.read == body * 5 // 8 + head == 4_963_931_008


def test_a_tied_head_is_packed_as_a_copy_of_the_embedding() -> None:
    embedding = 151_936 * 1024
    body = 596_049_920 - embedding
    assert footprint.weights(SMALL, "int4").held == 742_343_424
    assert footprint.weights(SMALL, "int8").held == pytest.approx(2 * embedding + body + embedding, rel=0.002)
    assert footprint.weights(SMALL, "nf4").held == body // 2 + body * 65 // 4096 + 2 * embedding
    assert footprint.weights(SMALL, "float32").held == 2 * footprint.weights(SMALL, "float16").held


def test_nf4_with_double_quantisation_takes_little_more_than_half_a_byte() -> None:
    assert footprint.bytes_per_weight("nf4", 0) == pytest.approx(0.516, abs=0.0005)
    assert footprint.bytes_per_weight("int4", 0) == 0.625


@pytest.mark.parametrize(("model", "kind", "rate"), [(SMALL, "bfloat16", 42), (MIDDLE, "bfloat16", 3.3)])
def test_the_speed_that_a_bandwidth_allows(model: Size, kind: str, rate: float) -> None:
    weights = footprint.weights(model, kind).read
    assert 50e9 / weights == pytest.approx(rate, rel=0.01)
    found = estimate(model, ROOMY, kind=kind)
    assert model.shape is not None
    row = 2 * model.shape.kv_heads * model.shape.head_dim * 2
    assert found.read == weights + model.shape.layers * row * 2048
    assert found.tokens_per_s == 50e9 / found.read
    assert estimate(model, replace(ROOMY, bandwidth=0.0)).tokens_per_s == 0


def test_experts_count_for_memory_but_not_for_speed_and_stay_in_16_bits() -> None:
    moe = size("Qwen/Qwen3-30B-A3B")
    plain, packed = footprint.weights(moe, "bfloat16"), footprint.weights(moe, "int4")
    assert plain.held == 30_532_122_624 * 2
    assert plain.read == (moe.active - 151_936 * 2048) * 2
    assert packed.held > moe.experts * 2
    assert packed.read < plain.read


def test_a_vision_part_is_held_but_not_read() -> None:
    vision = size("Qwen/Qwen3-VL-2B-Instruct")
    assert footprint.weights(vision, "bfloat16").held == 2_127_532_032 * 2
    assert footprint.weights(vision, "bfloat16").read == (2_127_532_032 - 406_957_056) * 2


def test_sliding_layers_keep_all_here_and_only_their_window_elsewhere() -> None:
    gemma = shape("google/gemma-3-1b-it")
    assert footprint.cache(gemma, LONG) == 26 * 1024 * LONG
    assert footprint.cache(gemma, LONG, trims=True) == 1024 * (4 * LONG + 22 * 512) == 145_752_064
    assert footprint.cache_read(gemma, 2048) == 1024 * (4 * 2048 + 22 * 512)


def test_a_hybrid_grows_in_a_quarter_of_its_layers() -> None:
    hybrid = shape("Qwen/Qwen3.5-4B")
    states = 24 * (4 * 524_288 + 2 * 32_768)
    assert footprint.cache(hybrid, LONG) == 8 * 4096 * LONG + 5 * states == 1_333_264_384
    assert footprint.cache(hybrid, 2 * LONG) - footprint.cache(hybrid, LONG) == 8 * 4096 * LONG


def test_the_cache_grows_in_steps() -> None:
    middle = shape("Qwen/Qwen3-8B")
    assert footprint.cache(middle, 1) == footprint.cache(middle, 256) < footprint.cache(middle, 257)


def test_the_verdict_follows_what_is_free_kept_free_and_held() -> None:
    need = estimate(SMALL, ROOMY).need
    bare = MachineFacts("RAM", need, 16 * GIB)
    assert kept_free(bare) == GIB
    assert estimate(SMALL, bare).verdict == "tight"
    assert estimate(SMALL, bare, reserve=0).verdict == "fits"
    assert estimate(SMALL, replace(bare, free=need + GIB)).verdict == "fits"
    assert estimate(SMALL, replace(bare, free=need - 1)).verdict == "no"
    assert estimate(SMALL, replace(bare, free=0, held=need + GIB)).verdict == "alone"
    assert estimate(SMALL, None).verdict == "unknown"


def test_the_reason_is_one_sentence_with_both_numbers() -> None:
    short = estimate(MIDDLE, MachineFacts("RAM", 8 * GIB, 16 * GIB))
    assert short.why == "It needs about 16.7 GiB, but only 8.0 GiB of RAM are free"
    assert estimate(SMALL, ROOMY).why.endswith("60.0 GiB of RAM are free, 2.0 GiB of them kept free")
    assert "not known yet" in estimate(MIDDLE, None).why
    assert estimate(size("google/gemma-4-31B-it"), ROOMY).why.startswith("It needs at least about")


def test_what_would_make_it_fit_is_a_shorter_context_then_a_smaller_form() -> None:
    facts = MachineFacts("RAM", 20 * GIB, 32 * GIB)
    long = estimate(MIDDLE, facts, context=40_960)
    assert long.verdict == "no"
    assert remedy(long, MIDDLE, facts) == "It fits with a context of 10,240 tokens"
    less = replace(facts, free=12 * GIB)
    assert longest_context(MIDDLE, less, kind="bfloat16") == 0
    assert remedy(estimate(MIDDLE, less), MIDDLE, less) == "It fits in int8"
    none = replace(facts, free=2 * GIB)
    assert remedy(estimate(MIDDLE, none), MIDDLE, none).startswith("Close other programs")
    assert remedy(estimate(SMALL, ROOMY), SMALL, ROOMY) == ""


def test_a_correction_moves_the_need_and_not_the_parts() -> None:
    plain, learned = estimate(SMALL, ROOMY), estimate(SMALL, ROOMY, correction=1.1)
    assert learned.parts == plain.parts
    assert learned.need == round(plain.need * 1.1)


def test_no_more_is_planned_for_than_the_model_can_see() -> None:
    assert planned(SMALL) == 8192
    assert planned(SMALL, 10**6) == 40_960
    assert planned(Size("unknown", 1), 500) == 500


def test_the_reserve_goes_by_the_pool() -> None:
    assert kept_free(MachineFacts("RAM", 0, 4 * GIB)) == 512 * MIB
    assert kept_free(MachineFacts("GTT", 0, 128 * GIB)) == 2 * GIB
    assert kept_free(MachineFacts("VRAM", 0, 128 * GIB, shared=False)) == 256 * MIB


def test_the_pool_is_the_one_that_torch_computes_in() -> None:
    card = specs.GpuSample("RTX", "nvidia", vram_total=8 * GIB, vram_used=GIB)
    sample = replace(SAMPLE, gpus=(card,))
    usable = specs.DeviceFinding("RTX", "nvidia", usable=True)
    found = machine_facts(sample, [usable], held=5, bandwidth=1e9)
    assert found == MachineFacts("VRAM", 7 * GIB, 8 * GIB, False, 5, 1e9, "RTX")
    assert found.key == "VRAM RTX"
    assert kinds_for(found) == ("bfloat16", "bnb8", "nf4")
    ram = machine_facts(sample, [replace(usable, usable=False)])
    assert ram is not None
    assert (ram.pool, ram.free, ram.shared) == ("RAM", SAMPLE.ram_available, True)
    apple = machine_facts(sample, [specs.DeviceFinding("M4", "apple", usable=True)])
    assert apple is not None
    assert apple.key == "unified M4"
    assert machine_facts(None, []) is None


def test_a_config_tells_the_same_shape_as_the_catalogue() -> None:
    assert shape_of_config(QWEN3_8B_CONFIG) == MIDDLE.shape
    assert shape_of_config({"text_config": QWEN3_8B_CONFIG}) == MIDDLE.shape


def test_a_config_of_a_hybrid_with_experts() -> None:
    config = {
        **QWEN3_8B_CONFIG,
        "num_hidden_layers": 4,
        "layer_types": ["linear_attention"] * 3 + ["full_attention"],
        "linear_num_key_heads": 16,
        "linear_num_value_heads": 32,
        "linear_key_head_dim": 128,
        "linear_value_head_dim": 128,
        "num_experts": 8,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 512,
    }
    found = shape_of_config(config)
    assert found is not None
    assert (found.linear_layers, found.state, found.conv) == (3, 524_288, 32_768)
    assert found.intermediate == 1024
    one = 3 * 4096 * 512 * 4
    assert experts_of_config(10**9, config) == (10**9 - 6 * one, 8 * one)
    assert experts_of_config(10**9, QWEN3_8B_CONFIG) == (0, 0)


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"hidden_size": -1},
        {"num_hidden_layers": "36"},
        {"vocab_size": 1 << 60},
        {"num_attention_heads": True},
    ],
)
def test_a_config_that_lies_has_no_shape(broken: dict[str, object]) -> None:
    assert shape_of_config({**QWEN3_8B_CONFIG, **broken} if broken else {}) is None


def test_the_parts_in_words() -> None:
    told = dict(parts(estimate(MIDDLE, ROOMY, kind="int8", context=LONG, correction=1.05)))
    assert told["cache"] == "4.5 G for 32,768 tokens"
    assert told["weights"].endswith("as int8")
    assert told["learned"] == "5 % more, as measured here"
    assert told["kept free"] == "2.0 G"
    assert dict(parts(estimate(Size("x", 10**9), ROOMY)))["cache"].startswith("unknown")
