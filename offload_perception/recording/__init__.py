"""Bags: the messages of the nodes, in files that rosbag2 and others can read. No ROS needed."""

from offload_perception.recording.bag_reader import BagReader
from offload_perception.recording.definitions import MessageType, installed_type
from offload_perception.recording.message import BagMessage
from offload_perception.recording.recover import recover
from offload_perception.recording.writer import BagWriter

__all__ = ['BagMessage', 'BagReader', 'BagWriter', 'MessageType', 'installed_type', 'recover']
