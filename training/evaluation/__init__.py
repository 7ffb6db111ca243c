"""Measuring trained models on people that were never used in training."""
