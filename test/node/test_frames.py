"""Images in, results and telemetry out: drone and server in one process."""

import copy
import time
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from shutil import copytree
from typing import Any

import cv2
import numpy as np
import pytest
from node.world import UNCONFIGURED, Heard, World, tensor_of, until
from offload_perception.msg import (
    Classification,
    FeatureTensor,
    FrameLatency,
    OffloadDecision,
    RemoteResult,
    ServerStatus,
)
from rclpy.publisher import Publisher
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from offload_perception.frames import Outcome, Status
from offload_perception.network.artefact import Artefact
from offload_perception.nodes import qos
from offload_perception.nodes.convert import byte_array, packet_of
from offload_perception.nodes.edge_inference import EdgeInferenceNode
from offload_perception.nodes.remote_inference import SPARE_DEPTH, RemoteInferenceNode


@pytest.fixture
def results(world: World) -> Heard:
    return world.hear(Classification, 'classification', qos.RESULTS)


@pytest.fixture
def ends(world: World) -> Heard:
    return world.hear(FrameLatency, 'frame_latency', qos.ENDS)


@pytest.fixture
def camera(world: World) -> Callable[..., Any]:
    """Return a publisher of raw images, after it has a subscriber."""
    return lambda: world.speak(Image, 'image_raw', qos.CAMERA)


def served(world: World, node: EdgeInferenceNode) -> None:
    """Wait until the drone has found a server."""
    until(lambda: node._parts.servers.listening(node._parts.servers.names[0]))


def a_frame(camera: Publisher, stamp: int = 1, **changes: Any) -> None:
    from node.world import image
    camera.publish(image(stamp, **changes))


@pytest.mark.parametrize('split', ['0', 'block4_pool', '-1'])
def test_a_result_carries_the_header_of_its_image(world: World, edge: Callable[..., Any],
                                                  server: Callable[..., Any],
                                                  camera: Callable[..., Any], results: Heard,
                                                  ends: Heard, artefact: Artefact,
                                                  split: str) -> None:
    server()
    drone = edge(split=split, deadline=30.0)
    served(world, drone)
    a_frame(camera(), stamp=1234, frame_id='nose_camera')
    result, = results.wait_for(1)
    end, = ends.wait_for(1)
    for message in (result, end):
        assert (message.header.stamp.sec, message.header.frame_id) == (1234, 'nose_camera')
        assert (message.sequence, message.split) == (1, artefact.cut(split))
    assert len(result.labels) == len(result.ids) == len(result.scores) == 5
    assert sorted(result.scores, reverse=True) == list(result.scores)
    assert (result.model_digest, result.trained) == (artefact.digest, artefact.trained)
    on_board = split == '-1'
    assert end.outcome == (FrameLatency.LOCAL if on_board else FrameLatency.REMOTE)
    assert result.where == ('local' if on_board else 'remote')
    assert (end.bytes == 0) is on_board
    named = [end.queue, end.preprocess, *([end.head] if on_board else
             [end.link, end.server_wait, end.decode, end.tail, end.encode])]
    assert np.isfinite(named).all() and end.total >= max(named)
    assert np.isnan(end.tail) == on_board


def test_the_frame_of_a_camera_is_cut_and_escaped_before_it_travels(
        world: World, edge: Callable[..., Any], camera: Callable[..., Any],
        results: Heard) -> None:
    edge(split='-1')
    a_frame(camera(), frame_id='\x1b[2J' + 'x' * 5000)
    frame_id = results.wait_for(1)[0].header.frame_id
    assert frame_id.isprintable() and frame_id.startswith('\\x1b[2Jxxx') and len(frame_id) == 200


def test_every_split_gives_the_same_result(world: World, edge: Callable[..., Any],
                                           server: Callable[..., Any], camera: Callable[..., Any],
                                           results: Heard, artefact: Artefact) -> None:
    server()
    drone = edge(split='0', codec='auto', top_k=artefact.tensors(artefact.last)[0].size)
    served(world, drone)
    eye = camera()
    for n, cut in enumerate((0, 5, artefact.last - 1, artefact.last), 1):
        assert world.set(drone, split=str(cut)).successful
        a_frame(eye, stamp=7)
        results.wait_for(n)
    assert [m.split for m in results] == [0, 5, artefact.last - 1, artefact.last]
    assert len({tuple(m.ids[:5]) for m in results}) == 1
    assert len({tuple(m.scores[:5]) for m in results}) == 1


def test_a_split_changes_while_flying_and_a_wrong_one_does_not(
        world: World, edge: Callable[..., Any], camera: Callable[..., Any], ends: Heard) -> None:
    decisions = world.hear(OffloadDecision, 'offload_decision', qos.LATCHED)
    drone = edge(split='-1')
    eye = camera()
    a_frame(eye)
    ends.wait_for(1)
    refused = world.set(drone, split='block9_pool')
    assert not refused.successful and "no cut 'block9_pool'; use 0.." in refused.reason
    refused = world.set(drone, split='block3_pool', codec='jpeg:90')
    assert not refused.successful and 'jpeg' in refused.reason
    assert drone.get_parameter('split').value == '-1' == drone.config.split
    assert world.set(drone, split='block3_pool').successful
    a_frame(eye, stamp=2)
    ends.wait_for(2)
    assert [m.split_name for m in ends] == ['predictions', 'block3_pool']
    assert decisions.wait_for(2)[1].split_name == 'block3_pool'


def test_a_split_set_while_inactive_holds_when_active(world: World, edge: Callable[..., Any],
                                                      camera: Callable[..., Any],
                                                      ends: Heard) -> None:
    drone = edge(split='-1')
    world.drive(drone, 'deactivate')
    assert not world.set(drone, split='block9_pool').successful
    assert world.set(drone, split='block2_pool').successful
    world.drive(drone, 'activate')
    a_frame(camera())
    assert ends.wait_for(1)[0].split_name == 'block2_pool'


def test_without_a_server_frames_are_dropped_and_the_reason_reported(
        world: World, edge: Callable[..., Any], camera: Callable[..., Any], ends: Heard) -> None:
    edge(split='block4_pool')
    a_frame(camera())
    end, = ends.wait_for(1)
    assert (end.outcome, end.reason) == (FrameLatency.DROPPED, 'no server')
    world.said(f'no server listens at {world.ns}/server')


BROKEN = {
    'unknown encoding': ({'encoding': 'thermal32'}, 'thermal32'),
    'too few bytes': ({'data': byte_array(bytes(100))}, '100 bytes'),
    'no bytes': ({'data': byte_array(b'')}, 'image'),
    'step too small': ({'step': 10}, 'step 10'),
    'no pixels': ({'width': 0, 'step': 0}, 'empty'),
    'gigapixels': ({'width': 1 << 20, 'height': 1 << 20}, 'pixels'),
}


@pytest.mark.parametrize(('changes', 'text'), BROKEN.values(), ids=BROKEN)
def test_a_broken_image_is_counted_named_and_survived(world: World, edge: Callable[..., Any],
                                                      camera: Callable[..., Any], ends: Heard,
                                                      changes: dict[str, Any], text: str) -> None:
    edge(split='-1')
    eye = camera()
    a_frame(eye, **changes)
    end, = ends.wait_for(1)
    assert (end.outcome, end.reason) == (FrameLatency.DROPPED, 'bad image')
    assert text in world.said('bad image')
    a_frame(eye, stamp=2)
    assert ends.wait_for(2)[1].outcome == FrameLatency.LOCAL


def test_compressed_images_are_taken_and_broken_ones_survived(
        world: World, edge: Callable[..., Any], ends: Heard, results: Heard) -> None:
    edge(split='-1')
    eye = world.speak(CompressedImage, 'image_raw/compressed', qos.CAMERA)
    picture = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    for stamp, (suffix, kind) in enumerate((('.jpg', 'jpeg'), ('.png', 'rgb8; png compressed'))):
        header = Header(frame_id='eye')
        header.stamp.sec = stamp
        data = byte_array(cv2.imencode(suffix, picture)[1])
        eye.publish(CompressedImage(header=header, format=kind, data=data))
        assert results.wait_for(stamp + 1)[stamp].header == header
    eye.publish(CompressedImage(format='jpeg', data=byte_array(b'\xff\xd8 not a jpeg')))
    assert ends.wait_for(3)[2].reason == 'bad image'
    eye.publish(CompressedImage(format='jpeg', data=byte_array(cv2.imencode('.jpg', picture)[1])))
    results.wait_for(3)


@pytest.mark.parametrize('encoding', ['mono8', 'bgr8', 'rgba8', 'bgra8', 'mono16', 'yuv422_yuy2',
                                      'bayer_rggb8'])
def test_usual_encodings_fly(world: World, edge: Callable[..., Any], camera: Callable[..., Any],
                             ends: Heard, encoding: str) -> None:
    channels = {'bgr8': 3, 'rgba8': 4, 'bgra8': 4, 'mono16': 2, 'yuv422_yuy2': 2}.get(encoding, 1)
    edge(split='-1')
    a_frame(camera(), encoding=encoding, step=64 * channels,
            data=byte_array(bytes(48 * 64 * channels)))
    assert ends.wait_for(1)[0].outcome == FrameLatency.LOCAL


def test_another_model_on_the_server_is_refused_in_clear_words(
        world: World, edge: Callable[..., Any], server: Callable[..., Any],
        camera: Callable[..., Any], ends: Heard, artefact: Artefact, tmp_path: Path) -> None:
    folder = copytree(artefact.path, tmp_path / 'other')
    other = (folder / 'model.tflite').read_bytes() + bytes(16)  # the same layers, another file
    (folder / 'model.tflite').write_bytes(other)
    replace(artefact, path=folder, digest=sha256(other).hexdigest()).save_manifest()
    server(model=str(folder))
    drone = edge(split='block4_pool')
    served(world, drone)
    a_frame(camera())
    end, = ends.wait_for(1)
    assert (end.outcome, end.reason) == (FrameLatency.DROPPED, 'server refused')
    line = world.said('server refused')
    assert 'digest' in line and 'start both with the same model and weights' in line


def test_counters_add_up_and_every_frame_ends_once(world: World, edge: Callable[..., Any],
                                                   server: Callable[..., Any],
                                                   camera: Callable[..., Any],
                                                   ends: Heard) -> None:
    server()
    drone = edge(split='block4_pool', max_in_flight=2)
    served(world, drone)
    eye, before_s = camera(), time.monotonic()
    for n in range(60):
        a_frame(eye, stamp=n, **({'encoding': 'thermal32'} if n % 7 == 3 else {}))
    pipeline = drone.session.pipeline
    until(lambda: pipeline.counts.captured and not pipeline.counts.under_way)
    world.drive(drone, 'deactivate')
    captured = pipeline.counts.captured
    ends.wait_for(captured)
    ended_s = [m.end for m in sorted(ends, key=lambda m: m.sequence)]
    assert all(before_s < end_s < time.monotonic() for end_s in ended_s)
    assert sorted(m.sequence for m in ends) == list(range(1, captured + 1))
    last = max(ends, key=lambda m: m.remote + m.local + m.dropped)
    assert last.captured == captured == last.remote + last.local + last.dropped
    outcomes = [Outcome(m.outcome) for m in ends]
    assert (last.remote, last.local, last.dropped) == tuple(map(outcomes.count, Outcome))
    assert all(bool(m.reason) == (m.outcome == FrameLatency.DROPPED) for m in ends)


def test_deactivation_ends_the_frames_in_flight(world: World, edge: Callable[..., Any],
                                                camera: Callable[..., Any], ends: Heard) -> None:
    drone = edge(split='block4_pool')
    tensors = world.hear(FeatureTensor, f'{world.ns}/server/features', qos.features(4))
    served(world, drone)
    a_frame(camera())
    tensors.wait_for(1)
    world.drive(drone, 'deactivate')
    assert ends.wait_for(1)[0].reason == 'shutdown'


def test_a_reply_that_cannot_be_is_survived(world: World, edge: Callable[..., Any],
                                            camera: Callable[..., Any], ends: Heard) -> None:
    drone = edge(split='block4_pool')
    tensors = world.hear(FeatureTensor, f'{world.ns}/server/features', qos.features(4))
    served(world, drone)
    a_frame(camera())
    tensor, = tensors.wait_for(1)
    answer = world.speak(RemoteResult, 'remote_result', qos.RESULTS)
    true = {'header': tensor.header, 'sequence': 1, 'nonce': tensor.nonce,
            'server': f'{world.ns}/server', 'model_digest': tensor.model_digest,
            'kind': 'classification', 'labels': ['x'], 'ids': [1], 'scores': [1.0]}
    for forged in ({'status': 99}, {'labels': []}, {'scores': [float('nan')]},
                   {'nonce': tensor.nonce ^ 1}, {'server': '/elsewhere'}, {'model_digest': ''},
                   {'header': Header(frame_id='of another life')}, {}, {}):
        answer.publish(RemoteResult(**{**true, **forged}))
    assert ends.wait_for(1)[0].outcome == FrameLatency.REMOTE
    until(lambda: drone.session.pipeline.counts.unexpected_replies == 1)  # the doubled one
    assert drone.session.pipeline.counts.foreign_replies == 4
    ignored, = drone.border.findings()
    assert ignored.text.startswith(f'3 messages on {world.ns}/remote_result ignored')
    assert ignored.text.endswith('scores is nan, not in -1e+09 .. 1e+09')


def test_a_node_that_servers_cannot_answer_is_refused(world: World, artefact: Artefact) -> None:
    node = world.make(EdgeInferenceNode, model=str(artefact.path), runtime='litert',
                      remap='remote_result:=mine')
    world.drive(node, 'configure')
    assert world.state(node) == UNCONFIGURED
    assert world.said(f'servers answer on {world.ns}/remote_result')


# -- the server alone -----------------------------------------------------------------------


@pytest.fixture
def link(world: World, server: Callable[..., Any], artefact: Artefact) -> Callable[..., Any]:
    """Return a function that sends a tensor, with some fields changed, to a server."""
    server()
    publisher = world.speak(FeatureTensor, 'server/features', qos.features(4))
    good = tensor_of(artefact, 9)

    def send(of_part: dict[str, Any] | None = None, **changes: Any) -> None:
        message = copy.deepcopy(good)
        message.drone, message.sequence = f'{world.ns}/drone', 1
        for target, fields in ((message, changes), (message.parts[0], of_part or {})):
            for name, value in fields.items():
                setattr(target, name, value)
        publisher.publish(message)
    return send


MALFORMED: dict[str, dict[str, Any]] = {
    'no data': {'data': byte_array(b''), 'of_part': {'size': 0}},
    'garbage': {'data': byte_array(b'garbage' * 9), 'of_part': {'size': 63}},
    'shape': {'of_part': {'shape': [1, 2, 3]}}, 'split': {'split': 500},
    'dtype': {'of_part': {'dtype': 'float64'}}, 'scale': {'of_part': {'scale': float('nan')}},
    'digest': {'model_digest': ''}, 'no tensor': {'parts': []},
    'beyond its data': {'of_part': {'size': 1 << 31}}, 'not at the start': {
        'of_part': {'offset': 1}},
    'huge': {'data': byte_array(bytes(1 << 20)), 'of_part': {'size': 1 << 20}}}


def test_malformed_tensors_are_refused_with_a_reply_and_survived(
        world: World, link: Callable[..., Any]) -> None:
    replies = world.hear(RemoteResult, 'remote_result', qos.RESULTS)
    for n, changes in enumerate(MALFORMED.values(), 1):
        link(sequence=n, **changes)
        reply = replies.wait_for(n)[-1]
        assert (reply.status, reply.sequence) == (RemoteResult.REFUSED, n)
        assert reply.message and not reply.labels
    link(sequence=77)
    assert replies.wait_for(len(MALFORMED) + 1)[-1].status == RemoteResult.OK


@pytest.mark.parametrize('drone', ['', '/', 'drone', '/9/x', '/a//b', '/a b', '/~/x', '/a' * 101,
                                   '/drone\x1b[2J'])
def test_a_drone_without_a_name_is_not_answered_and_does_not_stop_the_server(
        world: World, link: Callable[..., Any], drone: str) -> None:
    replies = world.hear(RemoteResult, 'remote_result', qos.RESULTS)
    link(drone=drone)
    assert world.said(f'message on {world.ns}/server/features ignored: drone').isprintable()
    link(sequence=2)
    assert replies.wait_for(1)[0].sequence == 2


@pytest.mark.parametrize('drone', ['/a__b/c', '/_/_', '/' + 'a' * 199])
def test_a_name_that_can_be_and_nobody_goes_by_costs_no_publisher(
        world: World, link: Callable[..., Any], drone: str) -> None:
    replies = world.hear(RemoteResult, 'remote_result', qos.RESULTS)
    link(drone=drone)
    link(sequence=2)
    assert replies.wait_for(1)[0].sequence == 2
    server = world.newest
    assert [p.topic_name for p in server.publishers if p.topic_name.endswith('remote_result')] == [
        f'{world.ns}/remote_result']


def test_tensors_that_the_middleware_overwrote_are_counted_with_their_sender(
        world: World, link: Callable[..., Any]) -> None:
    statuses = world.hear(ServerStatus, 'server/status', qos.LATCHED)
    server_node = world.newest
    link(sequence=1)
    statuses.wait_for(lambda m: m.received)
    world.hold_lane(server_node, lambda: [link(sequence=n) for n in range(2, 501)])
    lost = statuses.wait_for(lambda m: m.lost).lost
    server = server_node.session
    until(lambda: server.pipeline.counts.received + server.senders.lost == 500)
    assert server.senders.sent[f'{world.ns}/drone'] == 500
    assert lost >= 500 - 2 * (server_node.config.queue_limit + SPARE_DEPTH)


def test_the_server_announces_itself_and_counts(world: World, link: Callable[..., Any],
                                                artefact: Artefact) -> None:
    statuses = world.hear(ServerStatus, 'server/status', qos.LATCHED)
    link(sequence=1)
    link(sequence=2, split=500)
    status = statuses.wait_for(lambda m: m.received == 2 == m.completed + m.refused)
    assert (status.completed, status.refused) == (1, 1)
    assert status.features_topic == f'{world.ns}/server/features'
    assert status.model_digest == artefact.digest
    assert np.isfinite(status.tail_times[9]) and len(status.tail_times) == artefact.last


def test_a_second_server_is_refused_and_told_what_to_do(world: World, server: Callable[..., Any],
                                                        artefact: Artefact) -> None:
    server()
    second = world.make(RemoteInferenceNode, ns='/server', model=str(artefact.path))
    world.drive(second, 'configure')
    line = world.said('refused to configure')
    assert f'{world.ns}/server/' in line and 'namespace of its own' in line
    other = world.make(RemoteInferenceNode, ns='/server2', model=str(artefact.path),
                       runtime='litert')
    world.drive(other, 'configure', 'activate')
    assert other.active


def test_a_server_that_was_cleaned_up_is_no_second_server(world: World,
                                                          server: Callable[..., Any]) -> None:
    node = server()
    world.drive(node, 'deactivate')
    for _ in range(20):
        world.drive(node, 'cleanup')
        assert not node.second_server(own=0)
        world.drive(node, 'configure')


def test_a_tensor_that_comes_while_the_server_ends_is_let_go(
        world: World, server: Callable[..., Any], link: Callable[..., Any]) -> None:
    tensors = world.hear(FeatureTensor, 'server/features', qos.features(4))
    link()
    tensor, = tensors.wait_for(1)
    node = world.newest
    pipeline = node.session.pipeline
    world.drive(node, 'deactivate', 'cleanup')
    before = pipeline.counts.replies[Status.BUSY]  # 1 if the first one still waited
    pipeline.submit(packet_of(tensor))  # by a thread that had asked before whether it is active
    assert pipeline.counts.replies[Status.BUSY] == before + 1


def test_a_float32_server_has_all_its_tails_warm_when_it_serves(
        world: World, server: Callable[..., Any], artefact: Artefact) -> None:
    pytest.importorskip('tensorflow')
    if not artefact.keras_file.is_file():
        pytest.skip('the model was prepared without its Keras file')
    node = server(backend='float32')
    assert {cut for cut, _ in node._network._functions} == set(range(artefact.last))
    assert not [f.text for f in node.findings(0.0) if 'is unknown' in f.text]
