"""Benchmarks: each prints JSON; `python dev.py bench NAME` keeps it in `results/`."""
