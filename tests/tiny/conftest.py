"""ComfyUI's modules, in this process."""

from harness.host import import_host

import_host()
