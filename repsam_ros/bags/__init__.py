"""RGB-D bags in rosbag2's formats (sqlite3, mcap), written and read without ROS."""

from repsam_ros.bags.checking import BagReport, check_bag
from repsam_ros.bags.reading import (
    BagFrame,
    BagFrames,
    BagInfo,
    BagMessage,
    TopicInfo,
    bag_info,
    read_bag,
    read_label_maps,
)
from repsam_ros.bags.topics import BagTopics
from repsam_ros.bags.writing import STORAGES, write_bag

__all__ = [
    "STORAGES",
    "BagFrame",
    "BagFrames",
    "BagInfo",
    "BagMessage",
    "BagReport",
    "BagTopics",
    "TopicInfo",
    "bag_info",
    "check_bag",
    "read_bag",
    "read_label_maps",
    "write_bag",
]
