"""Models that others serve: what a server of the OpenAI kind tells of one, without its weights."""
