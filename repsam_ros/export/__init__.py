"""OFFLINE: from weights to graphs and engines that need no PyTorch to run."""
