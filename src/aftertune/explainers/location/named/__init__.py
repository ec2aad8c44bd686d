"""Does a head or a direction that another explainer names carry any of the change?  It is swapped alone."""
