"""Training on SDXL through diffusers: the base, the networks beside it, cached latents and texts, losses."""
