"""Do responses depend on their instruction?  It leaves the prompt whole, in both models."""
