"""Tests, intervals, permutations, corrections and agreement; the questions of a report and their findings."""
