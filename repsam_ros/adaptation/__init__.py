"""Offline: training data, losses, the trainer and checkpoints."""
