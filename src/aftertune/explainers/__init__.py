"""One folder for each explainer: a question about two checkpoints, with all that answers it."""
