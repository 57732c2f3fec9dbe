"""A recorded bag through the pipeline, without ROS."""
