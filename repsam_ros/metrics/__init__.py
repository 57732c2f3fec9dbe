"""Scores of results against the truth, and how certain their means and differences are."""
