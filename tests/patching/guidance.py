"""Random renders, and what one guide does in a step; for the tests of Guide with Head."""

from __future__ import annotations

import torch
from hifi_portrait.patching.encode_render import EncodedRender
from hifi_portrait.patching.head_guidance import (
    COLOUR_CHOICES,
    GuideSettings,
)

from tests.patching.small import sample

FULL = GuideSettings(strength=1.0, end_percent=1.0, falloff=0.0)
SHAPE_ONLY = COLOUR_CHOICES[1]


def noise(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def render(seed=0, count=1, size=(16, 16), confidence=None, channels=4):
    weights = (
        torch.ones(count, 1, *size) if confidence is None else confidence.expand(count, 1, *size).clone()
    )
    basis = torch.linalg.qr(noise(seed + 50, channels, 2))[0]
    return EncodedRender(noise(seed, count, channels, *size), weights, basis, 8)


class Step:
    """Watches one guide: what the host gave it and what it gave back, step by step."""

    def __init__(self, model):
        self.model = model.clone()
        functions = self.model.model_options["sampler_post_cfg_function"]
        self.seen = []
        self.model.model_options["sampler_post_cfg_function"] = [self._watched(f) for f in functions]

    def _watched(self, function):
        def watched(args):
            before = args["denoised"].clone()
            after = function(args)
            assert args["denoised"].equal(before), "the host's tensor was changed"
            self.seen.append((before, after, float(args["sigma"][0])))
            return after

        return watched


def one_step(model, **options):
    watch = Step(model)
    sample(watch.model, steps=1, **options)
    return watch.seen[0]
