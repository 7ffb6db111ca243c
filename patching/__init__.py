"""The model patch: the only place that touches ComfyUI's internals."""
