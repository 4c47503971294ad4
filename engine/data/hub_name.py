"""`hub:OWNER/NAME[:CONFIG][@SPLIT]`, the name of a dataset of the hub."""

from __future__ import annotations

import re

import msgspec

from engine.data.place import HUB
from engine.protocol.errors import fault

_PART = r"[\w.-]{1,96}"
_NAME = re.compile(rf"({_PART}/{_PART}|{_PART})(?::({_PART}))?(?:@([\w.\[\]:%-]{{1,60}}))?")


class HubData(msgspec.Struct, frozen=True):
    """A dataset of the hub."""

    id: str
    config: str = ""
    split: str = ""
    """Empty: `train`, or the first there is."""

    @property
    def stem(self) -> str:
        """A file's name that stands for it."""
        parts = (self.id.replace("/", "--"), self.config, self.split)
        return "-".join(re.sub(r"[^\w.-]+", "_", part) for part in parts if part)


def hub_data(text: str) -> HubData:
    """Parse it; raises EngineError `hub_name`."""
    found = _NAME.fullmatch(text.removeprefix(HUB))
    if found is None or ".." in text:
        raise fault(
            "hub_name",
            f"{text[:100]!r} is no name of a dataset of the hub",
            remedy="Write hub:OWNER/NAME, then :CONFIG and @SPLIT where it has several",
        )
    return HubData(found[1], found[2] or "", found[3] or "")
