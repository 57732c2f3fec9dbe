"""RepSAM for robots: RGB-D instance masks, grasp-ready clouds and grasps over ROS 2."""

__version__ = "0.1.0"
