"""What a model that sees needs of an image: how many tokens it takes, and its pixels as patches."""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from msgspec.structs import replace
from transformers import PreTrainedTokenizerBase

from engine.backend import Turn
from engine.models.describe import SEEING
from engine.models.headers import Broken, read_json
from engine.pictures import kept
from engine.protocol.errors import fault
from engine.protocol.specs import ChatSettings, ImageRef

MOST = 1280
"""Tokens of one image at most; a larger one is made smaller. Source: Qwen2-VL's own default."""
LOOKED_AT = 8
"""Images whose patches are kept for the next turn."""
_MEASURES = ("image_mean", "image_std")


class Look(NamedTuple):
    """An image as the vision tower takes it."""

    pixels: torch.Tensor
    """`[patches, channels * temporal * patch * patch]`, float32."""
    grid: torch.Tensor
    """`[1, 3]`: frames, rows and columns of patches."""


class Eyes:
    """The image processor of one model folder. Images are counted by any thread, looked at by the model's."""

    def __init__(self, processor: Any, pad: int, name: str) -> None:
        """`pad`: the id that stands for a piece of an image, `name`: as texts write it."""
        self._processor = processor
        self.pad = pad
        self._name = name
        self._looks: OrderedDict[str, Look] = OrderedDict()

    @classmethod
    def load(cls, folder: Path, tokenizer: PreTrainedTokenizerBase) -> Eyes | None:
        """From config.json and preprocessor_config.json; None where the model is not one that sees."""
        try:
            config = read_json(folder / "config.json")
        except (Broken, OSError):
            return None
        vision = config.get("vision_config")
        if config.get("model_type") not in SEEING or not isinstance(vision, dict):
            return None
        pad = config.get("image_token_id")
        pad = pad if isinstance(pad, int) else tokenizer.convert_tokens_to_ids("<|image_pad|>")
        name = tokenizer.convert_ids_to_tokens(pad) if isinstance(pad, int) else None
        if not isinstance(pad, int) or not isinstance(name, str):
            return None
        return cls(_processor(folder, vision, str(config["model_type"])), pad, name)

    def tokens(self, image: ImageRef) -> int:
        """How many tokens an image takes, by its size alone."""
        from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

        use = self._processor
        factor = use.patch_size * use.merge_size
        size = use.size
        height, width = smart_resize(
            image.height, image.width, factor, size["shortest_edge"], size["longest_edge"]
        )
        return (height // factor) * (width // factor)

    def hidden(
        self, turns: tuple[Turn, ...], settings: ChatSettings
    ) -> tuple[tuple[Turn, ...], ChatSettings]:
        """The same with the pad's name broken where it was typed: only true images may count as one."""
        name, broken = self._name, f"{self._name[:2]} {self._name[2:]}"
        kept_turns = tuple(
            replace(turn, text=turn.text.replace(name, broken), thinking=turn.thinking.replace(name, broken))
            for turn in turns
        )
        return kept_turns, replace(settings, system=settings.system.replace(name, broken))

    def fill(self, ids: Sequence[int], images: Sequence[ImageRef]) -> list[int]:
        """Ids with each image's one pad repeated as often as it has tokens.

        Raises EngineError `template_failed` where the template did not write one pad an image.
        """
        if sum(token == self.pad for token in ids) != len(images):
            raise fault(
                "template_failed",
                "The model's chat template could not be rendered",
                "It does not write one place for each image",
                "Choose another model, or take the image away (/detach)",
            )
        filled: list[int] = []
        waiting = iter(images)
        for token in ids:
            filled += [token] * (self.tokens(next(waiting)) if token == self.pad else 1)
        return filled

    def runs(self, ids: Sequence[int], images: Sequence[ImageRef]) -> list[tuple[int, int, ImageRef]]:
        """Start and end of each image in ids that `fill` made."""
        found: list[tuple[int, int, ImageRef]] = []
        at = 0
        for image in images:
            while ids[at] != self.pad:
                at += 1
            found.append((at, at + self.tokens(image), image))
            at = found[-1][1]
        return found

    def look(self, image: ImageRef) -> Look:
        """The image's patches. Raises EngineError `image_gone`."""
        if image.id not in self._looks:
            from PIL import Image

            # Written by our own decoder, so neither its format nor its size can surprise.
            with Image.open(io.BytesIO(kept.shared.whole(image)), formats=("PNG",)) as picture:
                made = self._processor(images=[picture.convert("RGB")], return_tensors="pt")
            self._looks[image.id] = Look(made["pixel_values"], made["image_grid_thw"])
        self._looks.move_to_end(image.id)
        while len(self._looks) > LOOKED_AT:
            self._looks.popitem(last=False)
        return self._looks[image.id]


def _processor(folder: Path, vision: dict[str, Any], family: str) -> Any:
    """The PIL processor by its own name: the automatic choice asks for torchvision.

    The vision tower's config decides the patches; the file, where there is one, sizes and colours.
    """
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    try:
        told = read_json(folder / "preprocessor_config.json")
    except (Broken, OSError):
        told = {}
    patch = _whole(vision.get("patch_size"), 14 if family == "qwen2_5_vl" else 16)
    merge = _whole(vision.get("spatial_merge_size"), 2)
    found = told.get("size")
    size: dict[str, Any] = found if isinstance(found, dict) else {}
    area = (patch * merge) ** 2
    least = _whole(size.get("shortest_edge") or told.get("min_pixels"), 4 * area)
    most = _whole(size.get("longest_edge") or told.get("max_pixels"), MOST * area)
    most = min(most, MOST * area)
    colours = {key: told[key] for key in _MEASURES if _three(told.get(key))}
    return Qwen2VLImageProcessorPil(
        size={"shortest_edge": min(least, most), "longest_edge": most},
        patch_size=patch,
        merge_size=merge,
        temporal_patch_size=_whole(vision.get("temporal_patch_size"), 2),
        **colours,
    )


def _whole(value: object, otherwise: int) -> int:
    return value if type(value) is int and value > 0 else otherwise


def _three(value: object) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(type(each) in (int, float) for each in value)
