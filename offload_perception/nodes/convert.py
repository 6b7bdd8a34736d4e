"""Messages from records and back; buffers cross without a Python list or a needless copy."""

from array import array
from math import nan
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import BatteryState, CompressedImage, Image
from std_msgs.msg import Header

from offload_perception.errors import ImageError
from offload_perception.frames import (
    FeaturePacket,
    Outcome,
    ReceivedReply,
    Reply,
    Status,
    TopK,
)
from offload_perception.imaging.compressed import compressed_to_rgb
from offload_perception.imaging.encodings import FULL_RANGE, ValueRange
from offload_perception.imaging.resize import fit, fit_message
from offload_perception.msg import Classification, FeatureTensor, FrameLatency, PowerSample
from offload_perception.network.artefact import Artefact
from offload_perception.pipeline.plan import Ended
from offload_perception.power.drivers.um25c import Reading

UNKNOWN_GROUP = 255  # in PowerSample.data_group


def byte_array(data: Any) -> 'array[int]':
    """Return a message field's own bytes from any contiguous buffer: one copy, no list."""
    field = array('B')
    field.frombytes(memoryview(data).cast('B'))
    return field


def image_message(rgb: np.ndarray, header: Header) -> Image:
    """Return an rgb8 Image of `rgb`, uint8 (H, W, 3)."""
    height, width = rgb.shape[:2]
    return Image(header=header, height=height, width=width, encoding='rgb8', step=3 * width,
                 data=byte_array(np.ascontiguousarray(rgb)))


def fit_image(message: Image | CompressedImage, out: np.ndarray, how: str = 'crop',
              values: ValueRange = FULL_RANGE) -> None:
    """Write an image message, resized as `imaging.resize` does, into `out`, uint8 (H, W, 3) RGB.

    :raises ImageError: if the message is broken or its encoding unknown.
    """
    height, width = out.shape[:2]
    if isinstance(message, CompressedImage):
        rgb = compressed_to_rgb(message.data, message.format, values=values)
        fit(rgb, height, width, out, how=how)
    elif isinstance(message, Image):
        fit_message(message.data, (height, width), height=message.height, width=message.width,
                    step=message.step, encoding=message.encoding,
                    is_bigendian=bool(message.is_bigendian), out=out, how=how, values=values)
    else:
        raise ImageError(f'{type(message).__name__} is not an image message')


def feature_message(packet: FeaturePacket) -> FeatureTensor:
    """Return the message of a packet."""
    return FeatureTensor(
        header=packet.header, drone=packet.drone, sequence=packet.sequence, nonce=packet.nonce,
        model_digest=packet.model_digest, split=packet.split, split_name=packet.split_name,
        codec=packet.codec, dtype=packet.dtype, shape=packet.shape, scale=packet.scale,
        zero_point=packet.zero_point, remaining=packet.remaining_s,
        data=byte_array(packet.data))


def packet_of(m: FeatureTensor) -> FeaturePacket:
    """Return the packet in a message; `data` is a view of the message's bytes."""
    return FeaturePacket(
        header=m.header, drone=m.drone, sequence=m.sequence, nonce=m.nonce,
        model_digest=m.model_digest, split=m.split, split_name=m.split_name, codec=m.codec,
        dtype=m.dtype, shape=tuple(m.shape), scale=m.scale, zero_point=m.zero_point,
        remaining_s=m.remaining, data=memoryview(m.data))


def reply_message(reply: Reply, artefact: Artefact) -> Classification:
    """Return a server's reply as a message."""
    packet = reply.packet
    return Classification(
        header=packet.header, sequence=packet.sequence, nonce=packet.nonce, drone=packet.drone,
        model_digest=artefact.digest, trained=artefact.trained, split=packet.split,
        split_name=packet.split_name, where='remote', server=reply.server,
        runtime=reply.runtime, device=reply.device, status=int(reply.status),
        message=reply.message, **_top_fields(reply.top), server_wait=reply.server_wait_s,
        decode=reply.decode_s, tail=reply.tail_s, server_total=reply.server_total_s)


def reply_of(m: Classification) -> ReceivedReply:
    """Return a server's reply as the drone uses it."""
    return ReceivedReply(
        header=m.header, sequence=m.sequence, nonce=m.nonce, model_digest=m.model_digest,
        status=Status(m.status), message=m.message,
        top=TopK(ids=tuple(m.ids), labels=tuple(m.labels), scores=tuple(m.scores)),
        server=m.server, runtime=m.runtime, device=m.device, server_wait_s=m.server_wait,
        decode_s=m.decode, tail_s=m.tail, server_total_s=m.server_total)


def result_message(ended: Ended, artefact: Artefact, drone: str) -> Classification:
    """Return the result of a frame, remote or local."""
    frame, reply = ended.frame, ended.reply
    remote = frame.outcome is Outcome.REMOTE
    return Classification(
        header=frame.header, sequence=frame.sequence, drone=drone,
        model_digest=artefact.digest, trained=artefact.trained, split=frame.split,
        split_name=frame.split_name, where='remote' if remote else 'local',
        server=frame.server if remote else '',
        runtime=frame.server_runtime if remote else frame.runtime,
        device=frame.server_device if remote else frame.device, status=int(Status.OK),
        **_top_fields(ended.top), server_wait=frame.stages.server_wait,
        decode=frame.stages.decode, tail=frame.stages.tail,
        server_total=reply.server_total_s if reply else nan)


def latency_message(ended: Ended) -> FrameLatency:
    """Return the times of a frame's stages, with the running counters."""
    frame, counts = ended.frame, ended.counts
    assert frame.outcome is not None  # it has ended
    return FrameLatency(
        header=frame.header, sequence=frame.sequence, outcome=int(frame.outcome),
        reason=frame.reason, split=frame.split, split_name=frame.split_name, codec=frame.codec,
        server=frame.server, runtime=frame.runtime, device=frame.device,
        server_runtime=frame.server_runtime, server_device=frame.server_device,
        **vars(frame.stages), bytes=frame.sent_bytes, deadline=frame.deadline_s,
        deadline_met=frame.deadline_met, captured=counts.captured, remote=counts.remote,
        local=counts.local, dropped=counts.dropped)


def power_message(reading: Reading, *, stamp: Time, source: str, emulated: bool, repeated: bool,
                  integrated_j: float) -> PowerSample:
    """Return a meter's reading as a message."""
    group = reading.selected
    return PowerSample(
        header=Header(stamp=stamp), source=source, emulated=emulated, repeated=repeated,
        voltage=reading.voltage_v, current=reading.current_a, power=reading.power_w,
        energy=group.energy_j if group else nan, charge=group.charge_c if group else nan,
        integrated_energy=integrated_j, temperature=_or_nan(reading.temperature_c),
        d_plus=_or_nan(reading.d_plus_v), d_minus=_or_nan(reading.d_minus_v),
        resistance=_or_nan(reading.resistance_ohm),
        data_group=UNKNOWN_GROUP if group is None else reading.data_group,
        charging_mode=reading.charging_mode_name)


def _or_nan(value: float | None) -> float:
    return nan if value is None else float(value)


def supply_message(reading: Reading, *, stamp: Time, source: str) -> BatteryState:
    """Return a reading as BatteryState, for dashboards; what a supply does not have is NaN."""
    return BatteryState(
        header=Header(stamp=stamp), voltage=reading.voltage_v, current=-reading.current_a,
        temperature=_or_nan(reading.temperature_c), charge=nan, capacity=nan, design_capacity=nan,
        percentage=nan, power_supply_status=BatteryState.POWER_SUPPLY_STATUS_UNKNOWN,
        present=True, location='computer supply', serial_number=source)


def _top_fields(top: TopK | None) -> dict[str, Any]:
    top = top or TopK()
    return {'ids': top.ids, 'labels': top.labels, 'scores': top.scores}
