"""Images on their way to the engine: what is taken, what is refused and how, where they lie."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import struct
import time
import zlib
from pathlib import Path

import msgspec
import pytest
from PIL import Image, PngImagePlugin

from engine.api import EngineError, commands, specs
from engine.pictures import kept as kept_module
from engine.pictures.intake import Intake
from engine.pictures.kept import Kept
from engine.pictures.make import FILE_LIMIT, make
from engine.protocol.wire import LINE_LIMIT
from engine.store.store import Store
from tui.images import cells, is_image, read_image, upload


def picture(
    kind: str = "PNG", size: tuple[int, int] = (60, 40), mode: str = "RGB", **options: object
) -> bytes:
    out = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert(mode).save(out, kind, **options)
    return out.getvalue()


def refusal(data: bytes, name: str = "cat.png") -> str:
    with pytest.raises(EngineError) as caught:
        make(name, data)
    assert caught.value.info.code == "image_refused"
    return caught.value.info.sentence()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_each_kind_becomes_an_rgb_png_of_its_size(kind: str) -> None:
    made = make("x", picture(kind))
    assert (made.width, made.height) == (60, 40)
    assert (opened(made.whole).format, opened(made.whole).mode, opened(made.whole).size) == (
        "PNG",
        "RGB",
        (60, 40),
    )
    assert opened(made.small).size == (60, 40)


def test_an_image_is_turned_upright_and_its_metadata_dropped() -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "at home, 52.5 N"
    made = make("x", picture("JPEG", exif=exif))
    assert (made.width, made.height) == (40, 60)
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "at home")
    noted = make("x", picture("PNG", pnginfo=text)).whole
    assert b"at home" not in made.whole + noted
    assert not opened(made.whole).getexif()


def test_what_is_transparent_lies_on_white() -> None:
    out = io.BytesIO()
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(out, "PNG")
    assert opened(make("x", out.getvalue()).whole).getpixel((0, 0)) == (255, 255, 255)


def test_a_large_image_is_kept_smaller_and_a_moving_one_by_its_first_frame() -> None:
    made = make("x", picture("JPEG", (6000, 4000)))
    assert made.width * made.height <= 4_000_000
    assert abs(made.width / made.height - 1.5) < 0.01
    out = io.BytesIO()
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    red = opened(make("x", out.getvalue()).whole).getpixel((0, 0))
    assert red == (255, 0, 0)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds nothing."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    ended = b"\0\0\0\0IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body)) + ended


def test_hostile_files_are_refused_in_one_plain_sentence() -> None:
    assert refusal(b"") == "cat.png is no image of a kind that can be read (PNG, JPEG, WebP, GIF, BMP)."
    assert "no image" in refusal(b"<svg onload='x'/>")
    assert "no image" in refusal(b"%!PS-Adobe-3.0 EPSF-3.0\n" * 20)
    assert "megapixels" in refusal(png_header(100_000, 100_000))
    assert "megapixels" in refusal(png_header(7000, 7000))
    assert "too thin" in refusal(picture(size=(2020, 2)))
    assert "damaged" in refusal(picture("JPEG", (400, 300))[:900])
    assert "damaged" in refusal(png_header(50, 50))
    assert "more than 20 MB" in refusal(bytes(FILE_LIMIT + 1))
    for seed in range(6):  # bits flipped: refused or read, never anything else
        data = bytearray(picture("WEBP", (90, 70)))
        for at in range(20 + seed, len(data), 13):
            data[at] ^= 1 << seed
        with contextlib.suppress(EngineError):
            assert make("x", bytes(data)).width == 90


def test_images_lie_by_their_content_in_private_files(home: Path) -> None:
    kept, made = Kept(), make("cat.png", picture())
    image = kept.add("cat.png", made, saved=True)
    assert image == specs.ImageRef(hashlib.sha256(made.whole).hexdigest(), "cat.png", 60, 40)
    assert kept.add("again.png", made, saved=True).id == image.id
    files = sorted(home.rglob("images/*"))
    assert [file.stat().st_mode & 0o777 for file in files] == [0o600, 0o600]
    assert files[0].parent.stat().st_mode & 0o777 == 0o700
    assert kept.whole(image) == made.whole
    assert kept.small(image.id) == made.small
    lied = specs.ImageRef(image.id, "cat.png", 9, 9)
    assert kept.checked(lied, saved=True) == image
    for wrong in ("../../../etc/passwd", "0" * 64, ""):
        with pytest.raises(EngineError) as caught:
            kept.small(wrong)
        assert caught.value.info.code == "image_gone"


def test_an_image_of_an_unsaved_chat_is_never_on_the_disk(home: Path) -> None:
    kept = Kept()
    image = kept.add("cat.png", make("cat.png", picture()), saved=False)
    kept.checked(image, saved=False)
    assert not list(home.rglob("images/*.png"))
    kept.checked(image, saved=True)  # sent in a saved chat after all
    assert len(list(home.rglob("images/*.png"))) == 2


def test_old_images_that_no_message_holds_are_forgotten(home: Path) -> None:
    kept = Kept()
    held, old, new = (kept.add("x", make("x", picture(size=(50 + n, 40))), saved=True) for n in range(3))
    then = time.time() - kept_module.FORGET_AFTER - 1
    for path in home.rglob("images/*.png"):
        if new.id not in path.name:
            os.utime(path, (then, then))
    assert kept.forget({held.id}) == 1
    assert kept.whole(held)
    assert kept.whole(new)
    with pytest.raises(EngineError):
        kept.whole(old)


async def test_an_upload_comes_in_pages_that_fit_on_a_line(home: Path) -> None:
    intake, sizes, shares = Intake(Kept()), [], []

    async def request(command: commands.PutImage | commands.ReadImage) -> object:
        sizes.append(len(msgspec.json.encode(command)))
        if isinstance(command, commands.ReadImage):
            return await intake.read(command)
        return await intake.put(command)

    noise = Image.effect_noise((1200, 900), 90)
    out = io.BytesIO()
    noise.save(out, "BMP")
    image = await upload(request, "noise.bmp", out.getvalue(), told=shares.append)
    assert (image.width, image.height) == (1200, 900)
    assert len(sizes) == 3
    assert max(sizes) < LINE_LIMIT
    assert shares[-1] == 1.0
    preview = await request(commands.ReadImage(image=image.id))
    assert isinstance(preview, commands.Preview)
    assert max(opened(preview.data).size) == 320
    assert len(msgspec.json.encode(preview)) < LINE_LIMIT


async def test_pages_of_an_unknown_upload_and_too_much_are_refused(home: Path) -> None:
    intake = Intake(Kept())
    with pytest.raises(EngineError) as caught:
        await intake.put(commands.PutImage(name="x", data=b"1", upload="nope"))
    assert caught.value.info.code == "upload_unknown"
    begun = await intake.put(commands.PutImage(name="x", data=bytes(FILE_LIMIT)))
    with pytest.raises(EngineError) as caught:
        await intake.put(commands.PutImage(name="x", data=b"1", upload=begun.id))
    assert "20 MB" in caught.value.info.title


def test_the_store_gives_images_back_and_takes_them_into_a_fork(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "qwill.db")
    image = specs.ImageRef("a" * 64, "cat.png", 60, 40)
    store.add_chat(specs.ChatInfo("c"))
    store.add_message(specs.Message("m", "c", "user", "look", images=(image,)))
    assert store.message("m").images == (image,)
    store.fork("c", "m", specs.ChatInfo("d"), lambda: "n")
    assert store.message("n").images == (image,)
    assert store.images() == {image.id}
    store.close()


async def nobody(command: object) -> object:
    raise AssertionError("a file of this machine asks nobody")


async def test_files_are_read_only_where_they_are_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "empty.png").touch()
    (tmp_path / "cat.png").write_bytes(picture())
    with open(tmp_path / "huge.png", "wb") as file:
        file.truncate(FILE_LIMIT + 1)
    assert await read_image(nobody, str(tmp_path / "cat.png"), "box") == ("cat.png", picture())
    for name, words in (
        ("pipe.png", "not a file"),
        ("empty.png", "empty"),
        ("huge.png", "20 MB"),
        ("no.png", "no such"),
    ):
        with pytest.raises(EngineError) as caught:
            await read_image(nobody, str(tmp_path / name), "")
        assert words in caught.value.info.title
    assert is_image("A/B.JPG")
    assert not is_image("notes.txt")


def test_an_image_keeps_its_shape_in_cells() -> None:
    assert cells(specs.ImageRef("", "x", 640, 480)) == (32, 12)
    assert cells(specs.ImageRef("", "x", 4000, 100)) == (40, 1)
    assert cells(specs.ImageRef("", "x", 2, 2)) == (2, 1)
