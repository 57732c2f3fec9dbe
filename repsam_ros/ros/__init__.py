"""The ROS 2 side, the only folder that imports ROS.

The nodes are :mod:`~repsam_ros.ros.perception_node` and
:mod:`~repsam_ros.ros.grasp_planner_node`. Both declare parameters, store what arrives, call the
core once per frame in one worker thread, convert and publish. What they share lies beside them;
:mod:`~repsam_ros.ros.processes` runs them without ``ros2 launch``.
"""

from repsam_ros.errors import BackendError

try:
    import rclpy as _rclpy  # noqa: F401 - said once here instead of failing in any of the modules
except ImportError as error:
    raise BackendError(
        f"ROS 2 is not there ({error}): install the package's extra 'ros',"
        " or source a ROS 2 distribution first"
    ) from error
