"""Slow, obvious computations that the library's numbers are held against."""
