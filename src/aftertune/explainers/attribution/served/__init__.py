"""Attribution of models that are only asked for probabilities, behind a server."""
