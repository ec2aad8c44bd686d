"""Who measures: this process, or workers on one machine or many, with the same code."""
