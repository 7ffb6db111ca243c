"""Synthetic people: random identities rendered with exact landmarks."""
