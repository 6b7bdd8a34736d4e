"""The QoS profiles of this package, each with the reason for it."""

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from offload_perception.bringup.config import StartConfig

# DDS keeps a killed process in the graph for this long: its lease is 20 s.
GHOST_S = 25.0
DISCOVERY_S = StartConfig.discovery_time  # others on the network are usually known then


def _keep_last(depth: int, reliability: ReliabilityPolicy,
               durability: DurabilityPolicy = DurabilityPolicy.VOLATILE) -> QoSProfile:
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability,
                      durability=durability)


def images(reliability: str) -> QoSProfile:
    """Return the profile for receiving images: the newest few, as sensor data.

    Best effort matches every camera driver; a reliable reader gets nothing from a best-effort
    driver, but loses nothing of a reliable one.
    """
    return _keep_last(5, ReliabilityPolicy.RELIABLE if reliability == 'reliable'
                      else ReliabilityPolicy.BEST_EFFORT)


# A reliable camera serves both kinds of reader.
CAMERA = _keep_last(5, ReliabilityPolicy.RELIABLE)


def features(depth: int) -> QoSProfile:
    """Return the profile for tensors to a server.

    Reliable: a 100 KB tensor is many UDP packets, and losing one would lose them all. Keep-last
    `depth`: the sender has no more than that unanswered, so nothing is overwritten, and after a
    break of the link nothing older is sent again.
    """
    return _keep_last(depth, ReliabilityPolicy.RELIABLE)


# Results are small and each one counts.
RESULTS = _keep_last(10, ReliabilityPolicy.RELIABLE)

# Telemetry is small too; the depth covers a recorder that stalls for some seconds.
TELEMETRY = _keep_last(100, ReliabilityPolicy.RELIABLE)

# How frames ended: each one counts. DDS may match a recorder with a drone that was started again
# only after a second; what was published till then is sent to it when it does. The depth covers a
# recorder that stalls for ten seconds at 30 frames a second.
ENDS = _keep_last(300, ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)

# A late joiner still needs the last one.
LATCHED = _keep_last(1, ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)

# For a reader of what comes anew every second anyway, perhaps over a slow link: a reliable reader
# would cost it heartbeats and acknowledgements, several times the bytes of the message.
PERIODIC = _keep_last(10, ReliabilityPolicy.BEST_EFFORT)

# A late one is of no use, and one that is sent again would say nothing about the link.
BEAT = _keep_last(1, ReliabilityPolicy.BEST_EFFORT)

# A flight stack's streams. Best effort and volatile matches every publisher.
SENSOR = _keep_last(5, ReliabilityPolicy.BEST_EFFORT)

# As ROS 2's own players publish simulated time: only the newest counts.
CLOCK = _keep_last(1, ReliabilityPolicy.BEST_EFFORT)
