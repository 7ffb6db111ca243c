"""Face records and networks in, one person's identity out; saved and loaded as safetensors."""
