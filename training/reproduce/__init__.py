"""Chains of stages from nothing to the files that ship: done once, skipped when nothing changed, moved."""
