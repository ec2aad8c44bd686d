"""Adapters: which base one names, how it is merged into its base, and embeddings that are one tensor."""
