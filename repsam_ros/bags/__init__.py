"""RGB-D bags in rosbag2's formats (sqlite3, mcap), written and read without ROS."""

from repsam_ros.bags.checking import BagReport, check_bag
from repsam_ros.bags.reading import (
    BagFrame,
    BagFrames,
    BagMessage,
    read_bag,
    read_label_maps,
)
from repsam_ros.bags.storage import BagInfo, TopicInfo, bag_info
from repsam_ros.bags.topics import BagTopics, find_topics
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
    "find_topics",
    "read_bag",
    "read_label_maps",
    "write_bag",
]
