"""The node of any meter: sensors of a fake /sys, topics of other nodes, and a server's own."""

import json
import time
from collections.abc import Callable
from functools import partial
from math import isnan, nan
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from node.world import UNCONFIGURED, Heard, World, tensor_of, until
from offload_perception.msg import (
    FeatureTensor,
    FrameEnergy,
    FrameLatency,
    PowerSample,
    ServerStatus,
)
from rclpy.validate_topic_name import validate_topic_name
from sensor_msgs.msg import BatteryState
from unit.power.fake_meters import FakePower

from offload_perception.errors import MeterError
from offload_perception.network.artefact import Artefact
from offload_perception.nodes import qos, topic_meters
from offload_perception.nodes.power import PowerNode
from offload_perception.nodes.remote_inference import RemoteInferenceNode
from offload_perception.nodes.topic_meters import open_topic
from offload_perception.power.energy.attribution import RegressionAttribution

VDD_IN = 'hwmon:ina3221/VDD_IN'


@pytest.fixture
def fake(tmp_path: Path) -> FakePower:
    return FakePower(tmp_path)


@pytest.fixture
def samples(world: World) -> Heard:
    return world.hear(PowerSample, 'power', qos.TELEMETRY)


@pytest.fixture
def start(world: World, fake: FakePower) -> Callable[..., PowerNode]:
    """Start the node on the fake /sys."""
    return partial(world.start, partial(PowerNode, sysfs=fake.root))


@pytest.fixture
def refused(world: World, fake: FakePower) -> Callable[..., str]:
    """Have the node refuse its parameters; return what it says."""
    def said(**parameters: Any) -> str:
        node = world.make(partial(PowerNode, sysfs=fake.root), **parameters)
        world.drive(node, 'configure')
        assert world.state(node) == UNCONFIGURED
        return world.said('refused to configure')
    return said


# -- sensors of Linux ---------------------------------------------------------------------------


def test_a_rail_of_a_jetson_gives_power_and_the_energy_of_a_frame(
        world: World, fake: FakePower, samples: Heard, start: Callable[..., PowerNode]) -> None:
    fake.jetson()
    energies = world.hear(FrameEnergy, 'frame_energy', qos.TELEMETRY)
    supply = world.hear(BatteryState, 'power/supply', qos.TELEMETRY)
    start(source=VDD_IN, battery_state=True)
    latencies = world.speak(FrameLatency, 'frame_latency', qos.ENDS)
    sample = samples.wait_for(4)[-1]
    assert sample.source == 'hwmon ina3221/VDD_IN'
    assert not sample.emulated and not sample.calibration
    assert (sample.voltage, sample.current) == (5.08, 1.24)
    assert sample.power == pytest.approx(5.08 * 1.24) and sample.integrated_energy > 0.0
    assert isnan(sample.temperature) and isnan(sample.energy) and sample.data_group == 255
    assert supply.wait_for(1)[0].current == pytest.approx(-1.24)
    latencies.publish(FrameLatency(sequence=7, total=0.1, head=0.04, end=time.monotonic()))
    energy = energies.wait_for(1)[0]
    assert (energy.sequence, energy.method, energy.emulated) == (7, 'trapezoid', False)
    assert energy.energy == pytest.approx(0.1 * sample.power, rel=0.01)


def test_a_frame_of_another_computer_has_no_energy_and_is_reported(
        world: World, fake: FakePower, samples: Heard, start: Callable[..., PowerNode]) -> None:
    fake.jetson()
    node = start(source=VDD_IN)
    ends = world.speak(FrameLatency, 'frame_latency', qos.ENDS)
    ends.publish(FrameLatency(sequence=1, total=0.1, end=time.monotonic() + 1000.0))
    until(lambda: [f for f in node.findings(time.monotonic()) if f.name == 'clock'])
    assert node.values()['frames not metered'] == 1


def test_the_attribution_and_the_rate_are_parameters(
        fake: FakePower, samples: Heard, start: Callable[..., PowerNode]) -> None:
    fake.jetson()
    node = start(source=VDD_IN, attribution='regression', rate=200.0)
    samples.wait_for(3)
    assert isinstance(node._parts.frames.attribution, RegressionAttribution)
    assert 'power of the stages' in node.values()
    assert node._reader._rate_hz == 200.0


def test_a_sensor_that_goes_is_reported_and_found_again(
        world: World, fake: FakePower, samples: Heard, start: Callable[..., PowerNode]) -> None:
    folder = fake.jetson()
    node = start(source=VDD_IN)
    samples.wait_for(1)
    (folder / 'curr1_input').rename(folder / 'gone')
    until(lambda: any(f.name == 'meter' and 'curr1_input' in f.text for f in node.findings(0.0)))
    (folder / 'gone').rename(folder / 'curr1_input')
    seen = len(samples)
    samples.wait_for(seen + 3)
    until(lambda: not any(f.name == 'meter' for f in node.findings(0.0)))
    world.drive(node, 'deactivate', 'cleanup', 'configure', 'activate')
    seen = len(samples)
    samples.wait_for(seen + 2)


def test_watts_alone_are_power_and_energy(fake: FakePower, samples: Heard,
                                          start: Callable[..., PowerNode]) -> None:
    counter = fake.rapl('intel-rapl:0', 'package-0', 0)
    start(source='rapl:package-0')
    samples.wait_for(1)
    counter.write_text(f'{10**6}\n')
    sample = samples.wait_for(lambda m: m.power > 0.0)
    assert isnan(sample.voltage) and isnan(sample.current) and sample.source == 'RAPL package-0'
    assert samples.wait_for(lambda m: m.integrated_energy > 0.0)


def test_a_battery_on_its_charger_has_no_power_and_no_energy(
        fake: FakePower, samples: Heard, start: Callable[..., PowerNode]) -> None:
    fake.supply('BAT0', type='Battery', status='Charging', voltage_now=12_000_000,
                current_now=1_000_000)
    start(source='power_supply:BAT0', rate=50.0)
    sample = samples.wait_for(3)[-1]
    assert isnan(sample.power) and sample.integrated_energy == 0.0
    fake.supply('BAT0', status='Discharging')
    assert samples.wait_for(lambda m: m.power == 12.0 and m.integrated_energy > 0.0)


def test_a_wrong_source_names_those_present(fake: FakePower, refused: Callable[..., str]) -> None:
    fake.jetson()
    fake.rapl('intel-rapl:0', 'package-0', 0)
    said = refused(source='hwmon:ina3221/VDD_GPU')
    assert 'found on this computer' in said and VDD_IN in said and 'rapl:package-0' in said


@pytest.mark.parametrize(('parameters', 'words'), [
    ({}, 'parameter source is empty'), ({'source': 'ina219'}, 'names no power meter'),
    ({'source': VDD_IN, 'rate': 999.0, 'calibration': '/no/such'}, 'No such file'),
    ({'source': 'power_supply:BAT0', 'rate': 999.0}, 'up to 100 times a second'),
    ({'source': 'topic:/a b'}, 'names no topic'), ({'source': 'topic:power'}, 'itself'),
    ({'source': 'battery:/b', 'calibration': '{calibration}'}, 'calibrated where')])
def test_parameters_that_make_no_meter(fake: FakePower, refused: Callable[..., str],
                                       parameters: dict[str, Any], words: str) -> None:
    fake.jetson()
    fake.supply('BAT0', type='Battery', power_now=1)
    given = {k: calibration(fake.root) if v == '{calibration}' else v
             for k, v in parameters.items()}
    assert words in refused(**given)


# -- calibration --------------------------------------------------------------------------------


def calibration(folder: Path, meter: str = 'hwmon ina3221/VDD_IN') -> str:
    """Write a calibration that halves the current; return its path."""
    same = {'gain': 1.0, 'offset': 0.0, 'residual': 0.0}
    load = {'true': {'power': 1.0}, 'read': {'power': 2.0}, 'samples': 9}
    file = folder / 'jetson.json'
    file.write_text(json.dumps({
        'version': 1, 'meter': meter, 'date': '2026-11-29', 'loads': [load, load],
        'fit': {'voltage': same, 'current': {**same, 'gain': 0.5},
                'power': {**same, 'gain': 0.5}}}))
    return str(file)


def test_every_sample_names_its_calibration(fake: FakePower, samples: Heard,
                                            start: Callable[..., PowerNode]) -> None:
    fake.jetson()
    node = start(source=VDD_IN, calibration=calibration(fake.root))
    sample = samples.wait_for(2)[-1]
    assert sample.calibration == 'jetson.json of 2026-11-29' == node.values()['calibration']
    assert (sample.voltage, sample.current) == (5.08, 0.62)
    assert sample.power == pytest.approx(5.08 * 0.62)


def test_the_calibration_of_another_meter_is_refused(fake: FakePower,
                                                     refused: Callable[..., str]) -> None:
    fake.jetson()
    said = refused(source=VDD_IN, calibration=calibration(fake.root, meter='UM25C /dev/rfcomm0'))
    assert 'is of UM25C /dev/rfcomm0, and this is hwmon ina3221/VDD_IN' in said


# -- topics -------------------------------------------------------------------------------------


def test_samples_of_another_node_keep_what_they_say_of_themselves(
        world: World, samples: Heard, start: Callable[..., PowerNode]) -> None:
    energies = world.hear(FrameEnergy, 'frame_energy', qos.TELEMETRY)
    node = start(source=f'topic:{world.ns}/bench', attribution='trapezoid')
    bench = world.speak(PowerSample, 'bench', qos.TELEMETRY)
    latencies = world.speak(FrameLatency, 'frame_latency', qos.ENDS)
    sent = PowerSample(source='UM25C far', emulated=True, repeated=True, voltage=5.0, current=nan,
                       power=2.0, calibration='um.json of 2026-01-02')

    def published() -> bool:
        bench.publish(sent)
        return len(samples) > 5
    until(published)
    sample = samples.wait_for(1)[-1]
    assert sample.source == f'UM25C far by topic {world.ns}/bench'
    assert sample.emulated and sample.repeated and sample.calibration == 'um.json of 2026-01-02'
    assert sample.power == 2.0 and isnan(sample.current)

    def framed() -> bool:
        latencies.publish(FrameLatency(sequence=1, total=0.001, end=time.monotonic()))
        bench.publish(sent)
        return bool(energies)
    until(framed)
    assert energies[0].emulated
    bench.publish(PowerSample(voltage=float('inf')))
    until(lambda: any('voltage is inf' in f.text for f in node.border.findings()))


def test_a_topic_that_falls_silent_is_reported(
        world: World, samples: Heard, start: Callable[..., PowerNode],
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_meters, 'TIMEOUT_S', 0.01)
    node = start(source=f'topic:{world.ns}/bench')
    until(lambda: any('no message within' in f.text for f in node.findings(0.0)))
    bench = world.speak(PowerSample, 'bench', qos.TELEMETRY)
    until(lambda: bench.publish(PowerSample(power=1.0)) or samples)


STATUS = {'discharging': BatteryState.POWER_SUPPLY_STATUS_DISCHARGING,
          'charging': BatteryState.POWER_SUPPLY_STATUS_CHARGING,
          'unknown': BatteryState.POWER_SUPPLY_STATUS_UNKNOWN}


@pytest.mark.parametrize(('sign', 'status', 'current', 'drawn'), [
    ('', 'discharging', -3.0, 3.0), ('', 'discharging', 3.0, 3.0), ('', 'unknown', -3.0, 3.0),
    ('', 'unknown', 3.0, -3.0), (':positive', 'unknown', 3.0, 3.0), ('', 'charging', 3.0, nan),
    (':positive', 'discharging', 3.0, 3.0), ('', 'discharging', nan, nan)])
def test_what_a_battery_says_of_its_current(sign: str, status: str, current: float,
                                            drawn: float) -> None:
    meter = open_topic('battery', f'/mavros/battery{sign}')
    meter.take(BatteryState(voltage=11.0, current=current, present=True,
                            power_supply_status=STATUS[status]))
    sample = meter.read()
    assert (sample.voltage_v, sample.current_a, sample.power_w) == pytest.approx(
        (11.0, drawn, 11.0 * drawn), nan_ok=True)


@pytest.mark.parametrize('text', ['', ':', '/a:', '/a:negative', 'a//b', '/1', '/a b', '/é'])
def test_what_names_no_battery(text: str) -> None:
    with pytest.raises(MeterError, match='names no topic'):
        open_topic('battery', text)


@given(kind=st.sampled_from(['battery', 'topic']),
       text=st.one_of(st.text(max_size=30), st.from_regex('[ab_/1:]{1,9}', fullmatch=True)))
def test_any_text_is_a_topic_of_ros_or_a_meter_error(kind: str, text: str) -> None:
    try:
        meter = open_topic(kind, text)
    except MeterError as e:
        assert str(e).isprintable()
    else:
        validate_topic_name(meter.topic)
        assert text.startswith(meter.topic)


def test_the_autopilots_battery_is_a_meter(world: World, samples: Heard,
                                           start: Callable[..., PowerNode]) -> None:
    start(source=f'battery:{world.ns}/mavros/battery')
    battery = world.speak(BatteryState, 'mavros/battery', qos.SENSOR)
    until(lambda: battery.publish(BatteryState(voltage=11.5, current=-2.0, present=True))
          or samples)
    assert (samples[0].power, samples[0].source) == (23.0, f'topic {world.ns}/mavros/battery')


# -- the server ---------------------------------------------------------------------------------


def test_a_metered_server_tells_its_power_and_the_energy_of_a_frame(
        world: World, fake: FakePower, artefact: Artefact) -> None:
    fake.jetson()
    statuses = world.hear(ServerStatus, 'metered/status', qos.LATCHED)
    node = world.start(
        partial(RemoteInferenceNode, sysfs=fake.root), ns='/metered', model=str(artefact.path),
        runtime='litert', status_period=0.5, power_source=VDD_IN)
    status = statuses.wait_for(lambda m: m.power > 0.0)
    assert status.power == pytest.approx(5.08 * 1.24)
    assert status.power_source == 'hwmon ina3221/VDD_IN' and isnan(status.frame_energy)
    assert not [f for f in node.findings(0.0) if f.name == 'meter']
    features = world.speak(FeatureTensor, 'metered/features', qos.features(4))
    tensor = tensor_of(artefact, 9)
    tensor.drone, tensor.sequence = f'{world.ns}/drone', 1
    features.publish(tensor)
    completed = statuses.wait_for(lambda m: m.completed == 1)
    assert 0.0 < completed.frame_energy < 100.0


def test_a_server_without_a_meter_says_so(world: World, server: Callable[..., Any]) -> None:
    statuses = world.hear(ServerStatus, 'server/status', qos.LATCHED)
    server()
    status = statuses.wait_for(2)[-1]
    assert isnan(status.power) and isnan(status.frame_energy) and status.power_source == ''


def test_a_server_whose_meter_is_missing_is_refused(world: World, fake: FakePower) -> None:
    node = world.make(partial(RemoteInferenceNode, sysfs=fake.root), power_source='rapl:package-0')
    world.drive(node, 'configure')
    assert world.state(node) == UNCONFIGURED
    assert 'intel_rapl_msr' in world.said('refused to configure')
