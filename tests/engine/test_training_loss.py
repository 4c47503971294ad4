"""The loss, layers computed again, and packed rows: the same numbers for less memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402
from transformers import AutoConfig, AutoModelForCausalLM  # noqa: E402

from engine.protocol.errors import EngineError  # noqa: E402
from engine.workers.training import head as head_module  # noqa: E402
from engine.workers.training.batches import padded  # noqa: E402
from engine.workers.training.head import chunk_rows  # noqa: E402
from engine.workers.training.labels import IGNORED, Example  # noqa: E402
from engine.workers.training.loss import summed_loss  # noqa: E402
from engine.workers.training.packing import Pack, check_packing, laid_out, packed  # noqa: E402
from engine.workers.training.recompute import decoder_layers, recompute  # noqa: E402
from tests.support.tiny import tiny_model  # noqa: E402

pytestmark = pytest.mark.engine


def network(folder: Path, family: str = "qwen3", **changes: Any) -> Any:
    """A tiny model whose attention and MLP learn and whose embedding and head do not."""
    model = AutoModelForCausalLM.from_pretrained(tiny_model(folder, family, spread=0.1, **changes).path)
    model.requires_grad_(False)
    for layer in decoder_layers(model):
        layer.requires_grad_(True)
    return model


def rows(*lengths: int, seed: int = 0) -> list[Example]:
    draw = torch.Generator().manual_seed(seed)
    made = []
    for length in lengths:
        ids = torch.randint(10, 300, (length,), generator=draw).tolist()
        made.append(Example(ids, [IGNORED] * (length // 3) + ids[length // 3 :]))
    return made


def learnt(model: nn.Module, total: Tensor) -> list[Tensor]:
    """Gradients, taken away."""
    total.backward()
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    found = [weight.grad.clone() for weight in weights if weight.grad is not None]
    model.zero_grad(set_to_none=True)
    return found


def plain(model: Any, ids: Tensor, labels: Tensor) -> Tensor:
    logits = model(input_ids=ids).logits[:, :-1].float()
    return nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), reduction="sum")


@pytest.mark.parametrize("trained_head", [False, True])
def test_the_loss_in_chunks_is_that_of_the_whole_logits(
    tmp_path: Path, trained_head: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Value and gradients; a head that learns, as in full fine-tuning, gets its gradient as well."""
    monkeypatch.setattr(head_module, "CHUNK", 16)
    model = network(tmp_path)
    model.get_output_embeddings().requires_grad_(trained_head)
    ids, labels = padded(rows(40, 25, 33))
    ours = summed_loss(model, ids, labels)
    mine = learnt(model, ours)
    theirs = plain(model, ids, labels)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-6)
    reference = learnt(model, theirs)
    assert len(mine) == len(reference) > 0
    for one, other in zip(mine, reference, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_logits_of_a_large_vocabulary_come_in_small_pieces() -> None:
    assert chunk_rows(800) == 256
    assert chunk_rows(151_936) * 151_936 * 4 <= head_module.LOGITS
    assert chunk_rows(10**7) == head_module.LEAST


@pytest.mark.parametrize("family", ["qwen3", "gemma3_text", "qwen3_moe"])
def test_layers_computed_again_change_no_bit(tmp_path: Path, family: str) -> None:
    model = network(tmp_path, family).train()
    ids, labels = padded(rows(30, 20))
    before = summed_loss(model, ids, labels)
    gradients = learnt(model, before)
    for count in (1, 3, 0):
        assert recompute(model, count) == count
        again = summed_loss(model, ids, labels)
        assert again.item() == before.item()
        assert all(map(torch.equal, learnt(model, again), gradients))


def test_only_the_chosen_layers_keep_less(tmp_path: Path) -> None:
    model = network(tmp_path).train()
    ids, labels = padded(rows(30, 20))
    kept = []
    for count in range(4):
        assert recompute(model, count) == count
        kept.append(_kept_bytes(model, ids, labels))
    assert kept == sorted(kept, reverse=True)
    assert len(set(kept)) == 4
    assert recompute(model, 99) == len(decoder_layers(model)) == 3


def _kept_bytes(model: nn.Module, ids: Tensor, labels: Tensor) -> int:
    """Bytes that autograd keeps for the backward pass, each storage once."""
    storages: dict[int, int] = {}
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        total = summed_loss(model, ids, labels)
    del total
    return sum(storages.values())


@pytest.mark.parametrize("family", ["qwen3", "llama", "gemma3_text", "qwen2_moe"])
def test_packed_rows_learn_what_they_learn_alone(tmp_path: Path, family: str) -> None:
    """Blind to each other, whatever stands before; sliding windows included."""
    model = network(tmp_path, family)
    single = rows(24, 9, 17, 12, 30)
    packs = packed(single, 40)
    assert sum(len(pack.rows) > 1 for pack in packs) >= 2
    with torch.no_grad():
        alone = {id(row): summed_loss(model, *padded([row])).item() for row in single}
        for pack in packs:
            whole = summed_loss(model, *laid_out([pack])).item()
            assert whole == pytest.approx(sum(alone[id(row)] for row in pack.rows), rel=1e-5)
        all_at_once = summed_loss(model, *laid_out(packs)).item()
    assert all_at_once == pytest.approx(sum(alone.values()), rel=1e-5)


def test_no_row_is_lost_or_cut_by_packing() -> None:
    """T6: overflow has a sequence of its own."""
    single = rows(*range(3, 60))
    packs = packed(single, 40)
    assert sorted(map(id, single)) == sorted(id(row) for pack in packs for row in pack.rows)
    assert all(pack.tokens <= 40 or len(pack.rows) == 1 for pack in packs)
    assert len(packs) < len(single)
    ids, labels, _ = laid_out(packs)
    # Were a row's first token labelled, it would be predicted from the row before.
    assert int((labels != IGNORED).sum()) == sum(pack.labelled for pack in packs)
    assert int((ids != 0).sum()) == sum(row.tokens for row in single)


def test_packing_is_refused_where_a_state_would_leak(tmp_path: Path) -> None:
    """T7, with the missing kernel named."""
    hybrid = tiny_model(tmp_path / "hybrid", "qwen3_5_text")
    with pytest.raises(EngineError, match="flash-linear-attention") as caught:
        check_packing(AutoConfig.from_pretrained(hybrid.path))
    assert caught.value.info.code == "packing_refused"
    check_packing(AutoConfig.from_pretrained(tiny_model(tmp_path / "plain").path))


def test_a_pack_counts_what_its_rows_count() -> None:
    pack = Pack(rows(9, 12))
    assert (pack.tokens, pack.longest) == (21, 21)
    assert pack.labelled == sum(row.labelled for row in pack.rows)
