"""ComfyUI nodes: schema, checks and one call into the folders below; nothing else."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from ..boundary.files import remove_debris
from . import (
    face_detail,
    faces,
    head,
    head_guidance,
    hifi_net,
    identity,
    landmarks,
    paths,
    provenance,
    save_portrait,
    tiny,
)
from .features import add_features
from .guard import guarded
from .saved import HEADS, IDENTITIES


class HiFiPortraitExtension(ComfyExtension):
    """All nodes of the pack, by family."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Return every node class, in the order of the data flow; the host calls this once, at start."""
        # What a ComfyUI that was killed while writing left in the pack's own folders goes first.
        for folder in paths.model_folders():
            remove_debris(folder)
            for kind in (IDENTITIES, HEADS):
                remove_debris(folder / kind.folder)
        nodes = [
            *faces.NODES,
            *identity.NODES,
            *landmarks.NODES,
            *hifi_net.NODES,
            *head.NODES,
            *head_guidance.NODES,
            *face_detail.NODES,
            *save_portrait.NODES,
            *tiny.NODES,
        ]
        provenance.register()
        return guarded(add_features(nodes))
