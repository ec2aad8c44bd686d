"""What of an answer comes with its instruction?  The same prompts are answered without it, by both models."""
