"""Networks, checkpoint format and warm start. Needs torch alone, knows nothing of ComfyUI."""
