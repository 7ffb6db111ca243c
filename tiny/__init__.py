"""The tiny portrait model: its networks as the host's own MODEL, CLIP and VAE."""
