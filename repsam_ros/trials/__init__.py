"""Simulated grasp trials: sense, segment, plan, execute, and count what was lifted.

All numbers from here are of a simulation.
"""
