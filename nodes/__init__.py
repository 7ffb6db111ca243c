"""ComfyUI nodes: schema, checks and one call into the folders below; nothing else."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from . import faces, head, head_guidance, hifi_net, identity, landmarks, tiny
from .aliases import add_search_aliases
from .guard import guarded


class HiFiPortraitExtension(ComfyExtension):
    """All nodes of the pack, by family."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Return every node class, in the order of the data flow."""
        nodes = [
            *faces.NODES,
            *identity.NODES,
            *landmarks.NODES,
            *hifi_net.NODES,
            *head.NODES,
            *head_guidance.NODES,
            *tiny.NODES,
        ]
        return guarded(add_search_aliases(nodes))
