"""Messages of the flight node: the policy, geotagged results, and those of vision_msgs."""

from math import nan
from typing import Any

from builtin_interfaces.msg import Time
from geometry_msgs.msg import Quaternion as QuaternionMessage
from std_msgs.msg import Header

from offload_perception.flight.geotag import Geotag
from offload_perception.flight.policy import PolicySettings, Verdict
from offload_perception.flight.vehicle_state import Position, Quaternion
from offload_perception.msg import (
    Classification,
    Detection,
    Detections,
    GeotaggedClassification,
    MissionPolicy,
)

_NOWHERE = Position(nan, nan, nan)
_NO_ATTITUDE = Quaternion(nan, nan, nan, nan)


def seconds(stamp: Time) -> float:
    """Return a stamp in seconds."""
    return float(stamp.sec + stamp.nanosec * 1e-9)


def policy_message(verdict: Verdict, settings: PolicySettings, stamp: Time) -> MissionPolicy:
    """Return a policy with its terms."""
    period_s, scale = verdict.policy.terms(settings)
    return MissionPolicy(header=Header(stamp=stamp), policy=verdict.policy.name,
                         min_period=period_s, deadline_scale=scale, reason=verdict.reason)


def geotagged_message(result: Classification, tag: Geotag) -> GeotaggedClassification:
    """Return a result with where it was taken."""
    where, how = tag.position, tag.attitude
    q = how.value or _NO_ATTITUDE
    return GeotaggedClassification(
        header=result.header, classification=result, position_valid=where.value is not None,
        attitude_valid=how.value is not None, reason=tag.reason,
        **(where.value or _NOWHERE)._asdict(),
        attitude=QuaternionMessage(x=q.x, y=q.y, z=q.z, w=q.w),
        position_age=where.age_s, position_gap=where.gap_s, attitude_age=how.age_s,
        attitude_gap=how.gap_s)


def vision_message(result: Classification, messages: Any) -> Any:
    """Return a vision_msgs/Classification, best class first; `class_id` is the label.

    :param messages: the module `vision_msgs.msg`.
    """
    return messages.Classification(header=result.header, results=[
        messages.ObjectHypothesis(class_id=label, score=float(score))
        for label, score in zip(result.labels, result.scores, strict=True)])


def vision_detections_message(found: Detections, messages: Any) -> Any:
    """Return a vision_msgs/Detection2DArray, best first; boxes in pixels of the camera image.

    `class_id` is the label; the pose of a hypothesis is empty.

    :param messages: the module `vision_msgs.msg`.
    """
    return messages.Detection2DArray(header=found.header, detections=[
        messages.Detection2D(header=found.header, bbox=_vision_box(d, messages), results=[
            messages.ObjectHypothesisWithPose(hypothesis=messages.ObjectHypothesis(
                class_id=d.label, score=float(d.score)))])
        for d in found.detections])


def _vision_box(d: Detection, messages: Any) -> Any:
    centre = messages.Point2D(x=(d.x_min + d.x_max) / 2, y=(d.y_min + d.y_max) / 2)
    return messages.BoundingBox2D(center=messages.Pose2D(position=centre, theta=0.0),
                                  size_x=d.x_max - d.x_min, size_y=d.y_max - d.y_min)


def vision_info_message(result: Classification, messages: Any) -> Any:
    """Return the vision_msgs/VisionInfo of the network that gave a result."""
    trained = 'trained' if result.trained else 'untrained: the labels mean nothing'
    return messages.VisionInfo(
        header=result.header,
        method=f'offload_perception, model {result.model_digest} ({trained})',
        database_location='none: a class_id is the label itself')
