"""What a long run of the nodes shows."""
