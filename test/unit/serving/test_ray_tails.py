"""Tails on a Ray of this computer: right results, a replica killed, another one under load."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Condition, Event, Thread
from typing import Any

import psutil
import pytest
from waits import WAIT_S

from offload_perception.errors import ConfigError, RuntimeUnavailableError
from offload_perception.frames import Reply, Status
from offload_perception.load_test.in_process import drive
from offload_perception.load_test.load_plan import Arrival, LoadPlan
from offload_perception.load_test.tally import LoadReport
from offload_perception.load_test.tensors import Tensors
from offload_perception.network.artefact import Artefact
from offload_perception.preparation.prepare import prepare
from offload_perception.runtime.batched import BatchedTails
from offload_perception.runtime.loaded_network import LoadedNetwork
from offload_perception.runtime.open_network import open_network
from offload_perception.serving.compute_tails import compute_tails
from offload_perception.serving.ray_pipeline import RayPipeline
from offload_perception.serving.ray_tails import RayTails
from offload_perception.serving.replicas import Replicas, ReplicaSettings
from offload_perception.serving.server_pipeline import ServerSettings

CUTS = (0, 14, 18)


@pytest.fixture(scope='module')
def network() -> Iterator[LoadedNetwork]:
    network = open_network(prepare('aerial'), 'cpu', threads=1)
    yield network
    network.close()


@pytest.fixture(scope='module')
def tensors(network: LoadedNetwork) -> Tensors:
    return Tensors(network, CUTS)


def processes(name: str) -> list[psutil.Process]:
    """Return the processes that this one has started, also by others, and whose name has that."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            if name in ' '.join(child.cmdline()) and child.status() != psutil.STATUS_ZOMBIE:
                found.append(child)
        except psutil.NoSuchProcess:
            pass
    return found


@contextmanager
def on_ray(artefact: Artefact, replicas: str) -> Iterator[RayTails]:
    pytest.importorskip('ray.serve', reason="Ray is not installed; pip install 'ray[serve]'")
    tails = RayTails(ReplicaSettings(artefact, 'cpu', threads=1), Replicas.of(replicas),
                     name='/server')
    try:
        yield tails
    finally:
        tails.close()
        left = [*processes('raylet'), *processes('gcs_server'), *processes('ray::')]
        _, alive = psutil.wait_procs(left, timeout=WAIT_S)
        assert not alive


@pytest.fixture(scope='module')
def two(network: LoadedNetwork) -> Iterator[RayTails]:
    with on_ray(network.artefact, '2') as tails:
        yield tails


def load(tails: RayTails, tensors: Tensors, plan: LoadPlan) -> LoadReport:
    return drive(plan, tensors, lambda reply: RayPipeline(
        tails=tails, reply=reply, settings=ServerSettings('/server', queue_limit=1000)))


def until(true: Callable[[], Any]) -> None:
    """Wait for what no event tells."""
    pause, end_s = Event(), time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < end_s
        pause.wait(0.05)


def test_results_are_those_of_this_process(
        two: RayTails, network: LoadedNetwork, tensors: Tensors) -> None:
    assert two.running == 2 and not two.trouble and two.most == 16
    replies: dict[int, Reply] = {}
    arrived = Condition()

    def take(reply: Reply) -> None:
        with arrived:
            assert reply.packet.sequence not in replies
            replies[reply.packet.sequence] = reply
            arrived.notify_all()

    pipeline = RayPipeline(tails=two, reply=take, settings=ServerSettings('/server'))
    pipeline.start()
    packets = [tensors.packet(Arrival(n, 0.0, 0, CUTS[n % 3], 0.0), '/drone1/edge', object())
               for n in range(24)]
    try:
        for packet in packets:
            pipeline.submit(packet)
        with arrived:
            assert arrived.wait_for(lambda: len(replies) == len(packets), WAIT_S)
    finally:
        pipeline.stop()
    here = BatchedTails(network, threads=1, most=1)
    for packet in packets:
        expected, = compute_tails(here, [packet], top_k=5, min_score=0.4)
        reply = replies[packet.sequence]
        assert reply.status is expected.status is Status.OK and reply.packet is packet
        assert reply.result == expected.result
        assert reply.runtime and reply.device == 'cpu' and reply.batch >= 1
        assert 0.0 < reply.tail_s < reply.server_total_s


def test_a_replica_killed_under_load_loses_and_doubles_nothing(
        two: RayTails, tensors: Tensors) -> None:
    victim = processes('ServeReplica')[0]
    plan = LoadPlan(4, 40.0, 6.0, (14, 18), (0.0,), seed=2)
    reports: list[LoadReport] = []
    loading = Thread(target=lambda: reports.append(load(two, tensors, plan)))
    loading.start()
    busy_s = sum(victim.cpu_times()[:2])
    until(lambda: sum(victim.cpu_times()[:2]) > busy_s + 0.2)  # it computes
    victim.kill()
    loading.join(WAIT_S)
    report, = reports
    assert report.unanswered == report.doubled == 0
    assert sum(report.answers.values()) == report.sent
    assert set(report.answers) <= {'ok', 'failed'}
    # What the dead replica held has failed; the other one has gone on.
    assert report.answers['ok'] > report.sent / 2
    until(lambda: two.running == 2 and not two.trouble)
    assert victim.pid not in {p.pid for p in processes('ServeReplica')}


def test_one_replica_becomes_two_under_load(
        network: LoadedNetwork, tensors: Tensors, two: RayTails) -> None:
    two.close()  # one Ray at a time in a process
    with on_ray(network.artefact, '1-2') as tails:
        assert tails.running == 1
        end_s = time.monotonic() + WAIT_S
        while tails.running < 2 and time.monotonic() < end_s:
            report = load(tails, tensors, LoadPlan(4, 100.0, 3.0, (0, 14), (1.0,)))
            assert report.unanswered == report.doubled == 0
        assert tails.running == 2 and not tails.trouble


def test_without_ray_the_error_says_what_to_install(
        network: LoadedNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'ray', None)
    with pytest.raises(RuntimeUnavailableError, match=r"pip install 'ray\[serve\]'"):
        RayTails(ReplicaSettings(network.artefact), Replicas(1, 1), name='/server')


def test_a_cluster_that_is_not_there_is_refused_with_its_remedy(
        network: LoadedNetwork, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip('ray.serve', reason="Ray is not installed; pip install 'ray[serve]'")
    monkeypatch.setenv('RAY_TMPDIR', str(tmp_path))  # where Ray notes the computer's cluster
    monkeypatch.delenv('RAY_ADDRESS', raising=False)
    with pytest.raises(ConfigError, match='ray start --head'):
        RayTails(ReplicaSettings(network.artefact), Replicas(1, 1), name='/server',
                 address='auto')
