"""What one can do with images: attach them to the next message, take them away, see them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.api import EngineError, EngineLost, ErrorInfo, commands, specs
from tui.dirty import What
from tui.screens.compose_verbs import ComposeVerbs
from tui.widgets.lines import name

if TYPE_CHECKING:
    from tui.widgets.picture import Picture

SHOWN = 32
"""Small versions kept for when a chat is opened again."""


class ImageVerbs(ComposeVerbs):
    """Verbs on the images of the next message. They lie with the engine as soon as they are attached."""

    _taken: tuple[specs.ImageRef, ...] = ()
    """Taken away, to be brought back."""
    _small: dict[str, bytes] | None = None

    def action_image(self, argument: str = "") -> None:
        path = argument.strip().strip("\"'")
        if not path:
            self.prompt_command("image", "the path of an image")
            return
        self.attach_image(path)

    def action_file(self, argument: str = "") -> None:
        path = argument.strip().strip("\"'")
        if path:
            super().attach(path)  # its text, whatever its name
        else:
            super().action_file()

    def attach(self, path: str) -> None:
        """Attach a file, as an image where it is named as one."""
        from tui.images import is_image

        if is_image(path):
            self.attach_image(path)
        else:
            super().attach(path)

    def attach_image(self, path: str) -> None:
        """Attach an image to the next message of the chat shown."""
        from tui.images import read_image, upload

        chat = self.state.chat
        saved = not self.state.incognito()

        async def bring() -> None:
            title, data = await read_image(self.link.request, path, self.state.engine.host)

            def told(share: float) -> None:
                if share < 1:
                    self.say(f"Bringing {name(title)} to the engine, {share * 100:.0f} %", for_seconds=2)

            image = await upload(self.link.request, title, data, saved=saved, told=told)
            others = tuple(each for each in self.state.images.get(chat, ()) if each.id != image.id)
            self._set_images(chat, (*others, image))
            self._warn_blind(image)

        self.attempt(bring(), failed=lambda info: self.say(name(info.sentence()), grave=True))

    def action_detach(self, argument: str = "") -> None:
        chat, wanted = self.state.chat, argument.strip()
        images = self.state.images.get(chat, ())
        if wanted == "undo" and self._taken:
            *others, back = self._taken
            self._taken = tuple(others)
            self._set_images(chat, (*images, back))
            return
        gone = next((each for each in reversed(images) if wanted in ("", each.name)), None)
        if gone is None:
            super().action_detach(argument)
            return
        self._taken = (*self._taken, gone)
        self._set_images(chat, tuple(each for each in images if each is not gone))
        self.say(f"{name(gone.name)} is no longer attached. /detach undo brings it back.")

    def backspace_at_start(self) -> None:
        images = self.state.images.get(self.state.chat, ())
        if not images:
            super().backspace_at_start()
        elif self.box.attachments.armed:
            self.action_detach()
        else:
            self.show_files(armed=True)
            self.say(f"Backspace again takes {name(images[-1].name)} away.", for_seconds=3)

    def on_picture_wanted(self, event: Picture.Wanted) -> None:
        event.stop()
        self.run_worker(self._fetch(event.picture))

    def _not_sent(self, info: ErrorInfo) -> None:
        back = self.state.pending[0] if self.state.pending and not self.composer.text else None
        super()._not_sent(info)
        if back is not None and back.images and back not in self.state.pending:
            self._set_images(self.state.chat, back.images)

    def _set_images(self, chat: str, images: tuple[specs.ImageRef, ...]) -> None:
        self.state.images[chat] = images
        if chat == self.state.chat:
            self.show_files()
            self.mark(What.SPEED)  # the context meter has a part in it
        self._keep_files(chat)

    def _warn_blind(self, image: specs.ImageRef) -> None:
        model = self.state.model()
        if model is not None and not model.vision:
            self.say(
                f"{name(model.name)} cannot see {name(image.name)}; a Qwen2.5-VL or Qwen3-VL model can (F3).",
                grave=True,
                for_seconds=8,
            )

    async def _fetch(self, picture: Picture) -> None:
        """The small version of an image, from the engine unless it was shown before."""
        self._small = self._small or {}
        image = picture.image.id
        if image not in self._small:
            try:
                preview: commands.Preview = await self.link.request(commands.ReadImage(image=image))
            except (EngineError, EngineLost):
                picture.fall_back()
                return
            self._small[image] = preview.data
            while len(self._small) > SHOWN:
                del self._small[next(iter(self._small))]
        if picture.is_attached:
            await picture.show(self._small[image])
