"""Grasps on object clouds.

Every grasp in this package is in the frame of :class:`repsam_ros.structures.Grasp`: z approaches
the object, y is the closing axis, the origin is the tool centre point (the frame of the Panda
hand and of VGN). The hand's shape in that frame is in :mod:`repsam_ros.grasping.gripper`.
Planners are opened by name, see :mod:`repsam_ros.grasping.planners`.
"""
