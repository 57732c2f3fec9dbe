"""Scores, reports and pictures of results."""
