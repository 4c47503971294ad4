"""What a run says during its evaluations and after its end. Plain data, no behaviour."""

from __future__ import annotations

from typing import Literal

import msgspec


class RunSample(msgspec.Struct, frozen=True, omit_defaults=True):
    """The greedy answer to one of the spec's prompts at one step."""

    step: int
    prompt: str
    text: str
    whole: bool = False
    """Whether the answer came to an end within its tokens."""


class BeforeAfter(msgspec.Struct, frozen=True, omit_defaults=True):
    """One prompt, answered greedily by the base and by what the run made of it."""

    prompt: str
    before: str
    after: str


class Habits(msgspec.Struct, frozen=True, omit_defaults=True):
    """How greedy answers to held-out prompts look."""

    answers: int
    repeated: float
    """Share of the four-token sequences that stood in the same answer before, 0 to 1."""
    stopped: float
    """Share of the answers that came to an end within 256 tokens."""


class RunReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a run has done to its model, measured once at its end; what there was no time for is left out."""

    answers: tuple[BeforeAfter, ...] = ()
    before: Habits | None = None
    after: Habits | None = None
    general_before: float | None = None
    """Loss on a shipped general text, in nats a token."""
    general_after: float | None = None
    seconds: float = 0.0
    """That the report took."""
    advice: Literal["", "keep", "discard"] = ""
    why: str = ""
    """One sentence for it."""

    @property
    def forgetting(self) -> float | None:
        """What the general text costs more than before, in nats a token."""
        if self.general_before is None or self.general_after is None:
            return None
        return self.general_after - self.general_before
