"""The logits of one new token on a CPU by a flat list of torch calls, for the plain decoders that it knows.

A token of a small model costs transformers' modules more time than its weights do: norms of six operations,
masks, wrappers. Here a layer is some twenty-five calls on what was looked up once. Prefill, other classes and
changed modules (hooks, other activations, RoPE that depends on the length) stay with the model itself.
"""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.nn.functional import linear, scaled_dot_product_attention, silu
from transformers import PreTrainedModel
from transformers.activations import SiLUActivation
from transformers.cache_utils import DynamicCache

from engine.workers.attention import NAME
from engine.workers.cache import GrowingLayer, GrowingSlidingLayer, make_cache
from engine.workers.packed import GROUP, Int4Linear, Int8Linear, PackedLinear

log = logging.getLogger(__name__)
FAMILIES = {"llama": "Llama", "qwen2": "Qwen2", "qwen3": "Qwen3", "mistral": "Mistral"}
"""Names of transformers' modules, and what their classes begin with."""
STEADY_ROPE = ("default", "linear", "llama3", "yarn")
"""Kinds of RoPE whose frequencies are the same for every length."""
ROWS = 512
"""Positions whose cosines and sines are computed at once."""
TOLERANCE = {torch.float32: 1e-3}
"""Part of the logits' deviation by which they may differ from transformers'; `LOOSE` for other dtypes."""
LOOSE = 0.2
_PROBE = (3, 7, 11, 5)
_Call = Callable[[torch.Tensor], torch.Tensor]


class _Layer(NamedTuple):
    """What one decoder layer is made of."""

    first_norm: torch.Tensor
    q: _Call
    k: _Call
    v: _Call
    head_norm: torch.Tensor | None
    """Weights `[heads + key heads, dim]` of the norms of queries and keys."""
    o: _Call
    second_norm: torch.Tensor
    gate: _Call
    up: _Call
    down: _Call


class LeanStep:
    """One token behind a cache; holds parts of a model that `knows` accepted, never the model itself."""

    def __init__(self, model: PreTrainedModel) -> None:
        inner: Any = model.model
        first = inner.layers[0].self_attn
        self._dtype: torch.dtype = inner.norm.weight.dtype
        self._embed: nn.Module = inner.embed_tokens
        self._layers = [_layer(layer, self._dtype) for layer in inner.layers]
        self._norm: torch.Tensor = inner.norm.weight
        self._eps: float = inner.norm.variance_epsilon
        self._head = _call(model.lm_head, self._dtype)
        self._rotary: nn.Module = inner.rotary_emb
        self._heads: int = model.config.num_attention_heads
        self._shared: int = first.num_key_value_groups
        self._dim: int = first.head_dim
        self._scale: float = first.scaling
        self._block = -1
        self._cos = self._sin = torch.empty(0)

    def takes(self, kv: DynamicCache) -> bool:
        """Whether this cache has begun, and is made of our layers."""
        kinds = (GrowingLayer, GrowingSlidingLayer)
        return (
            len(kv.layers) == len(self._layers)
            and all(type(layer) in kinds for layer in kv.layers)
            and kv.get_seq_length() > 0
        )

    @torch.no_grad()
    def __call__(self, token: int, kv: DynamicCache) -> torch.Tensor:
        """Logits `[1, vocabulary]` in the model's dtype; the cache holds one token more afterwards."""
        x = self._embed(torch.tensor([token]))
        cos, sin = self._angles(kv.get_seq_length())
        eps = self._eps
        for layer, cache in zip(self._layers, kv.layers, strict=True):
            x.add_(self._attend(layer, _normed(x, layer.first_norm, eps), cos, sin, cache))
            seen = _normed(x, layer.second_norm, eps)
            x.add_(layer.down(silu(layer.gate(seen), inplace=True).mul_(layer.up(seen))))
        return self._head(_normed(x, self._norm, eps))

    def _attend(
        self, layer: _Layer, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, cache: Any
    ) -> torch.Tensor:
        dim, heads = self._dim, self._heads
        both = torch.cat((layer.q(x), layer.k(x)), 1).view(-1, dim)
        if layer.head_norm is not None:
            both = _rows_normed(both, layer.head_norm, self._eps)
        # The halves change places, and the sines carry the sign of the first.
        turned = both.roll(dim // 2, 1).mul_(sin)
        both.mul_(cos).add_(turned)
        query, key = both.narrow(0, 0, heads), both.narrow(0, heads, heads // self._shared)
        keys, values = cache.update(key.view(1, -1, 1, dim), layer.v(x).view(1, -1, 1, dim))
        # Queries that share a key head are rows of one query, as in engine.workers.attention.
        out = scaled_dot_product_attention(
            query.view(1, -1, self._shared, dim), keys, values, scale=self._scale
        )
        return layer.o(out.reshape(1, heads * dim))

    def _angles(self, position: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosines and signed sines `[dim]` of this position."""
        block, row = divmod(position, ROWS)
        if block != self._block:
            positions = torch.arange(block * ROWS, (block + 1) * ROWS)[None]
            cos, sin = self._rotary(self._norm, positions)
            sin = sin[0].clone()
            sin[:, : self._dim // 2].neg_()
            self._cos, self._sin, self._block = cos[0], sin, block
        return self._cos[row], self._sin[row]


class _Made(NamedTuple):
    """A model's step, and the modules that it was made of."""

    step: LeanStep | None
    parts: tuple[nn.Module, ...]


_made: WeakKeyDictionary[PreTrainedModel, _Made] = WeakKeyDictionary()


def lean_step(model: PreTrainedModel) -> LeanStep | None:
    """The model's lean step, made and compared with the model once; None where it has to run itself.

    A change of its modules, hooks included, is noticed at the next call.
    """
    parts = _parts(model)
    made = _made.get(model)
    if made is None or made.parts != parts:
        made = _Made(_checked(model) if parts else None, parts)
        _made[model] = made
    return made.step


def knows(model: PreTrainedModel) -> bool:
    """Whether a lean step computes what this model does: decided by exact types and settings."""
    family = FAMILIES.get(str(model.config.model_type))
    module = sys.modules.get(
        f"transformers.models.{model.config.model_type}.modeling_{model.config.model_type}"
    )
    if family is None or module is None or type(model) is not vars(module).get(f"{family}ForCausalLM"):
        return False
    kinds: dict[str, Any] = {
        name: vars(module)[family + name] for name in ("Attention", "DecoderLayer", "MLP", "RMSNorm")
    }
    inner: Any = model.model
    if type(inner) is not vars(module)[f"{family}Model"] or model.training or model.device.type != "cpu":
        return False
    rotary = inner.rotary_emb
    if type(rotary) is not vars(module)[f"{family}RotaryEmbedding"] or rotary.rope_type not in STEADY_ROPE:
        return False
    if model.config._attn_implementation not in (NAME, "sdpa"):
        return False
    if len(inner.layers) != model.config.num_hidden_layers or not len(inner.layers):
        return False
    norms = [inner.norm, *(norm for layer in inner.layers for norm in _norms(layer))]
    same = {
        (type(norm), norm.weight.dtype, norm.variance_epsilon) for norm in norms if hasattr(norm, "weight")
    }
    return (
        inner.norm.variance_epsilon > 0
        and same == {(kinds["RMSNorm"], inner.norm.weight.dtype, inner.norm.variance_epsilon)}
        and all(type(norm) is kinds["RMSNorm"] for norm in norms)
        and all(_known_layer(layer, kinds) for layer in inner.layers)
    )


def _norms(layer: Any) -> list[Any]:
    attention = layer.self_attn
    own = [getattr(attention, name) for name in ("q_norm", "k_norm") if name in attention._modules]
    return [layer.input_layernorm, layer.post_attention_layernorm, *own]


def _known_layer(layer: Any, kinds: dict[str, Any]) -> bool:
    if type(layer) is not kinds["DecoderLayer"]:
        return False
    attention, mlp = layer.self_attn, layer.mlp
    known = type(attention) is kinds["Attention"] and type(mlp) is kinds["MLP"]
    return known and type(mlp.act_fn) in (nn.SiLU, SiLUActivation)


def _parts(model: PreTrainedModel) -> tuple[nn.Module, ...]:
    """All modules but the model itself; none where one has a hook or a forward of its own."""
    found = tuple(model.modules())
    for module in found:
        if module._forward_hooks or module._forward_pre_hooks or "forward" in module.__dict__:
            return ()
    return found[1:]


def _checked(model: PreTrainedModel) -> LeanStep | None:
    try:
        if not knows(model):
            return None
        step = LeanStep(model)
        if _agrees(model, step):
            return step
        log.warning(
            "One token of %s is computed by transformers: the short way differs", type(model).__name__
        )
    except Exception:  # modules of other libraries can fail in any way; the model itself still works
        log.warning("One token of %s is computed by transformers", type(model).__name__, exc_info=True)
    return None


@torch.no_grad()
def _agrees(model: PreTrainedModel, step: LeanStep) -> bool:
    """Over two tokens behind two others, on a cache of its own."""
    kv, whole = make_cache(model.config), not any(isinstance(m, PackedLinear) for m in model.modules())
    ids = [token % model.config.vocab_size for token in _PROBE]
    _stock(model, ids[:2], kv)
    exact = model.dtype == torch.float32 and whole
    limit = TOLERANCE[torch.float32] if exact else LOOSE
    for token in ids[2:]:
        expected = _stock(model, [token], kv)
        for layer in kv.layers:
            assert isinstance(layer, GrowingLayer)
            layer.crop(-1)
        got = step(token, kv)[0].float()
        near = (got - expected).abs().max() <= limit * expected.std()
        if not near or (exact and got.argmax() != expected.argmax()):
            return False
    return True


def _stock(model: PreTrainedModel, ids: list[int], kv: DynamicCache) -> torch.Tensor:
    out: Any = model(input_ids=torch.tensor([ids]), past_key_values=kv, use_cache=True)
    logits: torch.Tensor = out.logits[0, -1].float()
    return logits


def _layer(layer: Any, dtype: torch.dtype) -> _Layer:
    attention, mlp = layer.self_attn, layer.mlp
    head_norm = None
    if "q_norm" in attention._modules:
        heads = attention.config.num_attention_heads
        counts = (heads, heads // attention.num_key_value_groups)
        both = zip((attention.q_norm, attention.k_norm), counts, strict=True)
        head_norm = torch.cat([norm.weight.detach().expand(count, -1) for norm, count in both])
    q, k, v, o = (_call(getattr(attention, f"{name}_proj"), dtype) for name in "qkvo")
    gate, up, down = (_call(getattr(mlp, f"{name}_proj"), dtype) for name in ("gate", "up", "down"))
    first, second = layer.input_layernorm.weight, layer.post_attention_layernorm.weight
    return _Layer(first, q, k, v, head_norm, o, second, gate, up, down)


def _call(module: Any, dtype: torch.dtype) -> _Call:
    """The shortest way to what this linear layer computes for one row `[1, in]` of the model's dtype."""
    if type(module) is nn.Linear:
        return partial(linear, weight=module.weight, bias=module.bias)
    if isinstance(module, PackedLinear) and module.rows >= 1 and module.scales.dtype == dtype:
        kernel = _kernel(module)
        if module.bias is None:
            return kernel
        bias = module.bias
        return lambda x: kernel(x).add_(bias)
    called: _Call = module
    return called


def _kernel(module: PackedLinear) -> _Call:
    """`by_kernel`, with the tensors looked up."""
    functions: Any = torch
    if type(module) is Int8Linear:
        weights, scales, run = module.weights, module.scales, functions._weight_int8pack_mm
        return lambda x: run(x, weights, scales)
    if type(module) is Int4Linear:
        weights, scales, run = module.weights, module.scales, functions._weight_int4pack_mm_for_cpu
        return lambda x: run(x, weights, GROUP, scales)
    return module.by_kernel


def _normed(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """RMSNorm of `[1, hidden]`: computed in float32, weighted in the model's dtype, as transformers does."""
    wide = x.float()
    flat = wide.view(-1)
    factor = 1 / math.sqrt(float(flat.dot(flat)) / flat.shape[0] + eps)
    return (wide * factor).to(x.dtype).mul_(weight)


def _rows_normed(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """The same for each row of `[rows, dim]`, with weights of its own."""
    wide = x.float()
    factor = wide.square().mean(-1, keepdim=True).add_(eps).rsqrt_()
    return (wide * factor).to(x.dtype).mul_(weight)
