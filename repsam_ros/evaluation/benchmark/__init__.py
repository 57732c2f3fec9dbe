"""Benchmarks side by side: data sets, methods and kinds of prompts."""
