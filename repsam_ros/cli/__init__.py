"""The command line: one file per verb, found by listing this folder.

Each verb file has ``SUMMARY`` (one line), ``add_arguments(parser)`` and ``run(args) -> int``.
Only ``run`` imports numpy, torch or ROS, so that ``--help`` answers at once.
"""
