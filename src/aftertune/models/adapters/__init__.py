"""Adapters: which base one names, and how it is merged into its base."""
