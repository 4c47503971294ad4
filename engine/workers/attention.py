"""Attention of one new token on the CPU, registered with transformers beside its own; all else is SDPA's.

Without a mask transformers asks SDPA to repeat the key heads (`enable_gqa`), which copies the whole cache for
each token on a CPU: 1.5 ms a layer at 2k tokens. The queries that share a key head as rows of one query need
0.2 ms and no copy.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import causal_mask_function, sdpa_mask

NAME = "qwill"
"""What a config's `_attn_implementation` says for it."""
_KNOWN = {"module", "query", "key", "value", "attention_mask", "dropout", "scaling", "is_causal", "kwargs"}
_SPECIAL = frozenset(inspect.signature(sdpa_attention_forward).parameters) - _KNOWN | {"softcap", "s_aux"}
"""Keyword arguments of an attention call that change its result, or that SDPA refuses; it ignores others."""
_LOOKS_AT_NAME = re.compile(r"_attn_implementation\s*(?:[!=]=|(?:not )?in\b)")


def one_token_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Attention as `sdpa_attention_forward` computes it.

    Query `[batch, heads, queries, dim]`, key and value `[batch, key heads, length, dim]`, all of one dtype;
    returns `[batch, queries, heads, dim]` and None for the weights. One query without a mask takes the short
    way; several queries, masks, dropout and special arguments go to SDPA as they are.
    """
    heads, queries = query.shape[1:3]
    shared = heads // key.shape[1]
    if queries > 1 or shared < 2 or attention_mask is not None or dropout or _special(others):
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **others
        )
    rows = query.reshape(query.shape[0], key.shape[1], shared, query.shape[-1])
    out = scaled_dot_product_attention(rows, key, value, scale=scaling)
    return out.reshape(out.shape[0], 1, heads, value.shape[-1]), None


def one_token_mask(
    *,
    batch_size: int,
    q_length: int,
    kv_length: int,
    q_offset: int = 0,
    kv_offset: int = 0,
    mask_function: Callable[..., Any] = causal_mask_function,
    attention_mask: torch.Tensor | None = None,
    local_size: int | None = None,
    allow_is_causal_skip: bool = True,
    use_vmap: bool = False,
    **others: Any,
) -> torch.Tensor | None:
    """The mask as `sdpa_mask` makes it, but none where one token sees a whole window of keys."""
    whole = q_length == 1 and kv_length == local_size and isinstance(q_offset, int)
    if whole and attention_mask is None and allow_is_causal_skip and not use_vmap:
        zero, oldest, newest = torch.tensor([0, kv_offset, q_offset])
        # Windows and chunks hide the oldest keys first.
        if bool(mask_function(zero, zero, newest, oldest)):
            return None
    mask: torch.Tensor | None = sdpa_mask(
        batch_size=batch_size,
        q_length=q_length,
        kv_length=kv_length,
        q_offset=q_offset,
        kv_offset=kv_offset,
        mask_function=mask_function,
        attention_mask=attention_mask,
        local_size=local_size,
        allow_is_causal_skip=allow_is_causal_skip,
        use_vmap=use_vmap,
        **others,
    )
    return mask


def use_own_attention(model: PreTrainedModel, device: torch.device) -> bool:
    """Switch the text part of a model for the CPU over, where it uses SDPA through transformers' interface.

    Returns whether it did. A model whose code looks at the name of its attention keeps what it has.
    """
    if device.type != "cpu":
        return False
    config = model.config.get_text_config(decoder=True)
    parts = [part for part in model.modules() if isinstance(part, PreTrainedModel) and part.config is config]
    if config._attn_implementation != "sdpa" or not parts or not all(map(_takes_any, parts)):
        return False
    config._attn_implementation = NAME
    return True


@contextmanager
def stock_attention(model: PreTrainedModel) -> Iterator[None]:
    """The model with transformers' own attention for as long as this holds."""
    config = model.config.get_text_config(decoder=True)
    ours = config._attn_implementation == NAME
    if ours:
        config._attn_implementation = "sdpa"
    try:
        yield
    finally:
        if ours:
            config._attn_implementation = NAME


def _takes_any(part: PreTrainedModel) -> bool:
    """Whether its attention calls what is registered under the name that its config gives."""
    module = sys.modules.get(type(part).__module__)
    if module is None or not part._can_set_attn_implementation():
        return False
    return _LOOKS_AT_NAME.search(inspect.getsource(module)) is None


def _special(others: dict[str, Any]) -> bool:
    return any(others.get(name) is not None for name in _SPECIAL)


AttentionInterface.register(NAME, one_token_attention)
AttentionMaskInterface.register(NAME, one_token_mask)
