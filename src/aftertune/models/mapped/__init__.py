"""Models that stay on disk: weights are memory maps of their files, and are brought in full while a module computes."""
