"""Typed results and the run folder that keeps them; NumPy and Parquet only, no torch."""
