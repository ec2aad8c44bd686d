"""Products of matrices: many of them with one weight, and in how many digits."""
