"""Writes committed files: workflows, help pages, names of nodes, pictures."""
