"""Training of the grasp scorer: executed examples, and a network fitted to how they ended."""
