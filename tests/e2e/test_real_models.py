"""The same chat on models that no one here made: SmolLM2, and a random Qwen3 with the real tokenizer."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest.importorskip("torch")

from tests.support.borrowed import qwen3_tokenizer, smollm2  # noqa: E402
from tests.support.command import qwill  # noqa: E402
from tests.support.deep import deep  # noqa: E402

pytestmark = [pytest.mark.e2e, pytest.mark.engine, pytest.mark.timeout(600)]


@pytest.fixture(scope="session")
def random_qwen3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two random layers with Qwen3's full vocabulary of 151,936."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    folder = tmp_path_factory.mktemp("qwen3") / "random-qwen3"
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=151_936,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        initializer_range=0.5,
        eos_token_id=151_645,
    )
    Qwen3ForCausalLM(config).save_pretrained(folder)
    for file in qwen3_tokenizer().iterdir():
        shutil.copy(file, folder)
    return folder


async def test_smollm2_answers(home: Path) -> None:
    folder = smollm2()
    ask = ("chat", "-m", str(folder), "--temperature", "0", "--max-tokens", "40", "--json")
    done = (await qwill(*ask, "-p", "What is the capital of France?", timeout=300)).json
    assert "Paris" in done["text"]
    assert (done["thinking"], done["finish_reason"]) == ("", "stop")
    assert done["stats"]["tokens_per_s"] > 0
    shown = (await qwill("models", "show", str(folder), "--json")).json
    assert (shown["family"], shown["parameters"], shown["thinking"]) == ("llama", 134_515_008, "never")


async def test_qwen3s_own_template_switches_thinking(random_qwen3: Path) -> None:
    """The weights are random: what is tested is the prompt, the parser and the budget, not the sense."""
    ask = ("chat", "-m", str(random_qwen3), "-p", "Hello", "--seed", "1", "--json", "--max-tokens", "60")
    thinking = (await qwill(*ask, "--think", "--temperature", "0", "--think-budget", "8")).json
    plain = (await qwill(*ask, "--no-think", "--temperature", "0")).json
    # An empty think block of four tokens stands in the prompt when thinking is off.
    assert plain["stats"]["prompt_tokens"] == thinking["stats"]["prompt_tokens"] + 4
    assert plain["thinking"] == ""
    shown = (await qwill("models", "show", str(random_qwen3), "--json")).json
    assert (shown["family"], shown["thinking"], shown["context"]) == ("qwen3", "switchable", 2048)


@deep
async def test_a_seed_says_the_same_again(random_qwen3: Path) -> None:
    ask = (
        "chat",
        "-m",
        str(random_qwen3),
        "-p",
        "Hello",
        "--temperature",
        "1",
        "--max-tokens",
        "30",
        "--json",
    )
    one, two, other = [(await qwill(*ask, "--seed", seed)).json["text"] for seed in ("7", "7", "8")]
    assert one == two != other
