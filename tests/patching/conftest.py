"""A real ComfyUI in this process, and a small random SDXL on it."""

from __future__ import annotations

import pytest
import torch

from harness.host import import_host

import_host()
torch.set_num_threads(1)
