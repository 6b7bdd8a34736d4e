"""Messages of the flight node: the policy, geotagged results, and those of vision_msgs."""

from math import nan
from typing import Any

from builtin_interfaces.msg import Time
from geometry_msgs.msg import Quaternion as QuaternionMessage
from std_msgs.msg import Header

from offload_perception.flight.geotag import Geotag
from offload_perception.flight.policy import PolicySettings, Verdict
from offload_perception.flight.vehicle_state import Position, Quaternion
from offload_perception.msg import Classification, GeotaggedClassification, MissionPolicy

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


def vision_info_message(result: Classification, messages: Any) -> Any:
    """Return the vision_msgs/VisionInfo of the network that gave a result."""
    trained = 'trained' if result.trained else 'untrained: the labels mean nothing'
    return messages.VisionInfo(
        header=result.header,
        method=f'offload_perception, model {result.model_digest} ({trained})',
        database_location='none: a class_id is the label itself')
