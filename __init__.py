"""HiFi-Portrait for ComfyUI: portraits that keep one person's identity from several photos."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .nodes import HiFiPortraitExtension

WEB_DIRECTORY = "./web"


async def comfy_entrypoint() -> HiFiPortraitExtension:
    """Return the extension that lists this pack's nodes; ComfyUI calls this at start."""
    # Imported here, so that the pack's libraries can be used where no ComfyUI is installed.
    from .nodes import HiFiPortraitExtension

    return HiFiPortraitExtension()
