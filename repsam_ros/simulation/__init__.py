"""Simulated robot scenes: objects, physics, ray casting, shading and a depth sensor that fails."""
