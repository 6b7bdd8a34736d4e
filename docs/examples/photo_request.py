#!/usr/bin/env python3
"""Example: ask for a photo of the place whenever the network sees something of interest.

It shows how a node of yours takes the results: the QoS that fits, two topics paired by the
stamp of their image, and what to look at before a result is trusted. It only publishes a request
on `photo_request`; whether the aircraft acts on it is for another node of yours to decide.

    python3 photo_request.py --ros-args -r __ns:=/drone1 -p label:=water -p score:=0.6
"""

import json
from collections import OrderedDict
from contextlib import suppress

import rclpy
from offload_perception.msg import FrameLatency, GeotaggedClassification
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile
from std_msgs.msg import String

# Reliable, volatile: what the drone's nodes offer. Depth: a burst of results while this is busy.
RESULTS = QoSProfile(depth=10)
PENDING = 50  # halves of pairs that are kept while the other half is on its way


class PhotoRequest(Node):
    """Pairs `geotagged` with `frame_latency` and asks for photos."""

    def __init__(self, **kwargs) -> None:
        super().__init__('photo_request', **kwargs)
        self._label = self.declare_parameter('label', 'water').value
        self._score = self.declare_parameter('score', 0.6).value
        self._halves: dict[type, OrderedDict] = {
            GeotaggedClassification: OrderedDict(), FrameLatency: OrderedDict()}
        self._requests = self.create_publisher(String, 'photo_request', RESULTS)
        self.create_subscription(GeotaggedClassification, 'geotagged', self._on_half, RESULTS)
        self.create_subscription(FrameLatency, 'frame_latency', self._on_half, RESULTS)

    def _on_half(self, m: GeotaggedClassification | FrameLatency) -> None:
        """Pair by stamp, as message_filters.TimeSynchronizer does: headers pass untouched."""
        mine, other = self._halves[type(m)], next(
            h for kind, h in self._halves.items() if kind is not type(m))
        stamp = (m.header.stamp.sec, m.header.stamp.nanosec)
        if stamp in other:
            pair = {type(half): half for half in (m, other.pop(stamp))}
            self._on_pair(pair[GeotaggedClassification], pair[FrameLatency])
            return
        mine[stamp] = m
        while len(mine) > PENDING:  # a dropped frame has no result, and so no pair
            mine.popitem(last=False)

    def _on_pair(self, tagged: GeotaggedClassification, latency: FrameLatency) -> None:
        result, label = tagged.classification, self._label
        # A classifier names the best classes, a detector each object, and perhaps none.
        score = max((s for name, s in zip(result.labels, result.scores, strict=True)
                     if name == label), default=-1.0)
        if score < self._score:
            return
        if not result.trained:
            self.get_logger().warning('the network is not trained: its labels mean nothing',
                                      once=True)
        elif not tagged.position_valid:
            self.get_logger().warning(f'{label}, but not where: {tagged.reason}')
        elif latency.deadline and not latency.deadline_met:
            self.get_logger().info(f'{label}, but {latency.total:.2f} s old: too late')
        else:
            self._requests.publish(String(data=json.dumps({
                'label': label, 'score': round(score, 3), 'latitude': tagged.latitude,
                'longitude': tagged.longitude, 'altitude': tagged.altitude,
                'stamp': [tagged.header.stamp.sec, tagged.header.stamp.nanosec]})))


def main() -> None:
    """Run until Ctrl-C."""
    rclpy.init()
    with suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(PhotoRequest())


if __name__ == '__main__':
    main()
