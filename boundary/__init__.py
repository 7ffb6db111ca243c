"""What crosses the pack's boundary: texts shown, JSON and tensors read, files written."""
