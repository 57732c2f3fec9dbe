"""How long a frame takes: stages, backends side by side, memory, fixed rates."""
