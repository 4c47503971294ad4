"""Which KV cache a request goes on with: the one that holds the most of its conversation."""

from __future__ import annotations

from collections import OrderedDict

from engine.backend import ReplySpec, Turn

SLOTS = 2
"""Conversations of other programs whose caches are kept beside the chat's."""
_Key = tuple[object, ...]


class Slots:
    """Names of caches, as ReplySpec.chat, by what was said in them last."""

    def __init__(self) -> None:
        self._said: OrderedDict[str, tuple[_Key, tuple[Turn, ...]]] = OrderedDict()

    def take(self, spec: ReplySpec) -> str:
        """The cache that shares the most turns with this request, else an unused one, else the oldest."""
        best, length = "", 0
        for name, (key, turns) in self._said.items():
            common = _common(turns, spec.turns) if key == _key(spec) else 0
            if common > length:
                best, length = name, common
        if not best and len(self._said) < SLOTS:
            best = f"(served {len(self._said) + 1})"
        return best or next(iter(self._said))

    def keep(self, name: str, spec: ReplySpec, text: str) -> None:
        """Remember what the cache of this name holds now."""
        self._said[name] = (_key(spec), (*spec.turns, Turn("assistant", text)))
        self._said.move_to_end(name)

    def names(self) -> tuple[str, ...]:
        """All that are in use."""
        return tuple(self._said)


def _key(spec: ReplySpec) -> _Key:
    adapter = spec.adapter and (spec.adapter.id, spec.adapter.version)
    return (spec.model, adapter, spec.settings.system)


def _common(old: tuple[Turn, ...], new: tuple[Turn, ...]) -> int:
    count = 0
    for one, other in zip(old, new, strict=False):
        if (one.role, one.text.strip(), one.images) != (other.role, other.text.strip(), other.images):
            break
        count += 1
    return count
