"""Synthetic people, losses, trainer and evaluation."""
