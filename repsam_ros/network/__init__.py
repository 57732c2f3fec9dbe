"""The segmentation network: SAM's own classes, depth fusion, learned prompts."""
