"""The whole method: several checkpoints, what is measured of them, and what it shows."""
