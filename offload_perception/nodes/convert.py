"""Messages from records and back; buffers cross without a Python list or a needless copy."""

from array import array
from collections.abc import Sequence
from itertools import chain
from math import nan
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import BatteryState, CompressedImage, Image
from std_msgs.msg import Header

from offload_perception.codec import decode, encode_tensors
from offload_perception.codec.api import as_bytes
from offload_perception.errors import ImageError, IncomingError
from offload_perception.frames import (
    FeaturePacket,
    Frame,
    Outcome,
    Part,
    ReceivedReply,
    Reply,
    Result,
    Status,
)
from offload_perception.imaging.compressed import compressed_to_rgb
from offload_perception.imaging.encodings import FULL_RANGE, ValueRange
from offload_perception.imaging.resize import boxes_in_picture, fit, fit_message
from offload_perception.incoming import text
from offload_perception.msg import (
    Classification,
    Detection,
    Detections,
    FeatureTensor,
    FrameLatency,
    OutputTensors,
    PowerSample,
    RemoteResult,
    TensorPart,
)
from offload_perception.network.artefact import Artefact
from offload_perception.network.interpret import result_specs
from offload_perception.network.output_meaning import DETECTION
from offload_perception.pipeline.packing import joined
from offload_perception.pipeline.plan import Ended
from offload_perception.power.drivers.samples import Sample
from offload_perception.power.drivers.um25c import Reading
from offload_perception.tensor import TensorSpec

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


def fit_image(image: Image | CompressedImage | np.ndarray, out: np.ndarray, how: str = 'crop',
              values: ValueRange = FULL_RANGE) -> tuple[int, int]:
    """Write an image, resized as `imaging.resize` does, into `out`, uint8 (H, W, 3) RGB.

    The image is a message, or a picture as uint8 (H, W, 3) RGB. Returns its own height and width.

    :raises ImageError: if the message is broken or its encoding unknown.
    """
    height, width = out.shape[:2]
    if isinstance(image, Image):
        fit_message(image.data, (height, width), height=image.height, width=image.width,
                    step=image.step, encoding=image.encoding,
                    is_bigendian=bool(image.is_bigendian), out=out, how=how, values=values)
        return int(image.height), int(image.width)
    if isinstance(image, CompressedImage):
        image = compressed_to_rgb(image.data, image.format, values=values)
    if not isinstance(image, np.ndarray):
        raise ImageError(f'{type(image).__name__} is not an image message')
    fit(image, height, width, out, how=how)
    return int(image.shape[0]), int(image.shape[1])


def feature_message(packet: FeaturePacket) -> FeatureTensor:
    """Return the message of a packet."""
    return FeatureTensor(
        header=packet.header, drone=packet.drone, sequence=packet.sequence, nonce=packet.nonce,
        model_digest=packet.model_digest, split=packet.split, split_name=packet.split_name,
        codec=packet.codec, parts=part_messages(packet.parts), remaining=packet.remaining_s,
        data=byte_array(packet.data))


def packet_of(m: FeatureTensor) -> FeaturePacket:
    """Return the packet in a message; `data` is a view of the message's bytes."""
    return FeaturePacket(
        header=m.header, drone=m.drone, sequence=m.sequence, nonce=m.nonce,
        model_digest=m.model_digest, split=m.split, split_name=m.split_name, codec=m.codec,
        parts=parts_of(m.parts), remaining_s=m.remaining, data=memoryview(m.data))


def part_messages(parts: Sequence[Part]) -> list[TensorPart]:
    """Return the messages of a packet's parts."""
    return [TensorPart(dtype=p.spec.dtype, shape=p.spec.shape, scale=p.spec.scale,
                       zero_point=p.spec.zero_point, offset=p.offset, size=p.size) for p in parts]


def parts_of(messages: Sequence[TensorPart]) -> tuple[Part, ...]:
    """Return the parts of a packet in a message."""
    return tuple(Part(TensorSpec(tuple(m.shape), m.dtype, m.scale, m.zero_point),
                      m.offset, m.size) for m in messages)


def reply_message(reply: Reply, artefact: Artefact) -> RemoteResult:
    """Return a server's reply as a message."""
    packet, result = reply.packet, reply.result
    parts, data = encoded_tensors(result, artefact)
    return RemoteResult(
        header=packet.header, sequence=packet.sequence, nonce=packet.nonce, drone=packet.drone,
        model_digest=artefact.digest, trained=artefact.trained, split=packet.split,
        split_name=packet.split_name, server=reply.server,
        runtime=reply.runtime, device=reply.device, status=int(reply.status), batch=reply.batch,
        message=reply.message, **_named(result),
        boxes=array('f', chain.from_iterable(result.boxes)), parts=part_messages(parts),
        data=byte_array(data), expected_wait=reply.expected_wait_s,
        server_wait=reply.server_wait_s, decode=reply.decode_s, tail=reply.tail_s,
        server_total=reply.server_total_s)


def reply_of(m: RemoteResult, artefact: Artefact) -> ReceivedReply:
    """Return a server's reply as the drone uses it.

    :raises IncomingError, DecodeError: if its result is none of this network.
    """
    status = Status(m.status)
    return ReceivedReply(
        header=m.header, sequence=m.sequence, nonce=m.nonce, model_digest=m.model_digest,
        status=status, message=m.message,
        result=received_result(m, artefact) if status is Status.OK else Result(),
        server=m.server, runtime=m.runtime, device=m.device,
        expected_wait_s=m.expected_wait, server_wait_s=m.server_wait, decode_s=m.decode,
        tail_s=m.tail, server_total_s=m.server_total)


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
        device=frame.server_device if remote else frame.device,
        **_named(ended.result), server_wait=frame.stages.server_wait,
        decode=frame.stages.decode, tail=frame.stages.tail,
        server_total=reply.server_total_s if reply else nan)


def detections_message(frame: Frame, result: Result, artefact: Artefact,
                       drone: str) -> Detections:
    """Return the detections in a frame, in the pixels of its image."""
    height, width = frame.image_size
    boxes = boxes_in_picture(np.array(result.boxes, float).reshape(-1, 4), (height, width),
                             (artefact.input.shape[0], artefact.input.shape[1]), artefact.fit)
    return Detections(
        header=frame.header, sequence=frame.sequence, drone=drone, model_digest=artefact.digest,
        trained=artefact.trained, where='remote' if frame.outcome is Outcome.REMOTE else 'local',
        image_height=height, image_width=width, detections=[
            Detection(id=i, label=label, score=score, x_min=float(x0), y_min=float(y0),
                      x_max=float(x1), y_max=float(y1))
            for i, label, score, (x0, y0, x1, y1) in zip(
                result.ids, result.labels, result.scores, boxes, strict=True)])


def class_map_message(frame: Frame, result: Result) -> Image:
    """Return the class map of a frame: mono8, of the size of the network's output."""
    found, = result.tensors
    height, width = found.shape
    return Image(header=frame.header, height=height, width=width, encoding='mono8', step=width,
                 data=byte_array(np.ascontiguousarray(found)))


def outputs_message(frame: Frame, result: Result, artefact: Artefact, drone: str) -> OutputTensors:
    """Return the outputs of a network whose meaning is not known, not encoded."""
    specs = tuple(TensorSpec(x.shape, x.dtype.name) for x in result.tensors)
    parts, data = joined(specs, [as_bytes(x) for x in result.tensors])
    return OutputTensors(header=frame.header, sequence=frame.sequence, drone=drone,
                         model_digest=artefact.digest, parts=part_messages(parts),
                         data=byte_array(data))


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
        local=counts.local, dropped=counts.dropped, end=frame.arrival_s + frame.stages.total)


def power_message(sample: Sample, *, stamp: Time, source: str, calibration: str,
                  integrated_j: float) -> PowerSample:
    """Return a meter's sample as a message; what only UM meters say is NaN of others."""
    r = sample.reading
    group = r.selected if r else None
    return PowerSample(
        header=Header(stamp=stamp), source=source, emulated=sample.emulated,
        repeated=sample.repeated, calibration=calibration,
        voltage=sample.voltage_v, current=sample.current_a, power=sample.power_w,
        energy=group.energy_j if group else nan, charge=group.charge_c if group else nan,
        integrated_energy=integrated_j, temperature=_field(r, 'temperature_c'),
        d_plus=_field(r, 'd_plus_v'), d_minus=_field(r, 'd_minus_v'),
        resistance=_field(r, 'resistance_ohm'),
        data_group=r.data_group if r and group else UNKNOWN_GROUP,
        charging_mode=r.charging_mode_name if r else '')


def _field(reading: Reading | None, name: str) -> float:
    """Return a field of a UM meter's reading; NaN = not known, or of another meter."""
    value = getattr(reading, name, None)
    return nan if value is None else float(value)


def supply_message(sample: Sample, *, stamp: Time, source: str) -> BatteryState:
    """Return a sample as BatteryState, for dashboards; what a supply does not have is NaN."""
    return BatteryState(
        header=Header(stamp=stamp), voltage=sample.voltage_v, current=-sample.current_a,
        temperature=_field(sample.reading, 'temperature_c'), charge=nan, capacity=nan,
        design_capacity=nan, percentage=nan,
        power_supply_status=BatteryState.POWER_SUPPLY_STATUS_UNKNOWN,
        present=True, location='computer supply', serial_number=source)


def _named(result: Result | None) -> dict[str, Any]:
    result = result or Result()
    return {'kind': result.kind, 'ids': result.ids, 'labels': result.labels,
            'scores': result.scores}


def encoded_tensors(result: Result, artefact: Artefact) -> tuple[tuple[Part, ...], Any]:
    """Return the parts of a result's tensors and their data."""
    specs = result_specs(artefact)[:len(result.tensors)]
    if not specs:
        return (), b''
    return joined(specs, encode_tensors(result.tensors, specs, 'zstd'))


def received_result(m: RemoteResult, artefact: Artefact) -> Result:
    """Return the result in a reply.

    :raises IncomingError, DecodeError: if it is none of this network.
    """
    specs, parts = result_specs(artefact), parts_of(m.parts)
    detection = m.kind == DETECTION
    if m.kind != artefact.meaning.kind or len(m.boxes) != 4 * len(m.ids) * detection or [
            (p.spec.dtype, p.spec.shape) for p in parts] != [(s.dtype, s.shape) for s in specs]:
        raise IncomingError(f"the result of kind '{text(m.kind)}' is none of {artefact.name}, "
                            f'which gives {artefact.meaning.kind}')
    data = memoryview(m.data).cast('B') if len(m.data) else memoryview(b'')
    return Result(
        ids=tuple(m.ids), labels=tuple(m.labels), scores=tuple(m.scores), kind=m.kind,
        boxes=tuple(zip(*(m.boxes[i::4] for i in range(4)), strict=True)),
        tensors=tuple(decode(data[p.offset:p.offset + p.size], spec).array
                      for p, spec in zip(parts, specs, strict=True)))
