"""Noise of like effect in the weights: what chance does to the outputs."""
