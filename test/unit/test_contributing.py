"""What CONTRIBUTING.md says can be added is added as it says, and works."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from contributing import ROOT, apply, blocks

from offload_perception.bringup.arguments import Settings
from offload_perception.bringup.config import NetworkConfig
from offload_perception.bringup.graph import DRONE
from offload_perception.camera import check_source, open_source
from offload_perception.codec import decode, encode
from offload_perception.errors import DecodeError, MeterError, SourceError
from offload_perception.flight import policy
from offload_perception.flight.vehicle_state import Vehicle
from offload_perception.network.artefact import Artefact
from offload_perception.power.drivers.power_sources import open_power_source
from offload_perception.runtime.load import load_cpu
from offload_perception.runtime.runtimes import RUNTIMES
from offload_perception.runtime.select import PYCORAL, resolve
from offload_perception.tensor import TensorSpec


def test_a_codec(monkeypatch: pytest.MonkeyPatch) -> None:
    codecs = apply('A codec', monkeypatch)['CODECS']
    assert len({c.number for c in codecs}) == len({c.name for c in codecs}) == len(codecs)
    spec = TensorSpec((8, 8, 16), 'int8', 0.1, -128)
    q = np.random.default_rng(0).integers(-128, -100, spec.shape, np.int8)
    data = encode(q, spec, 'bzip2:5')
    found = decode(data, spec)
    assert found.codec == 'bzip2:5' and np.array_equal(found.array, q) and len(data) < q.nbytes
    registry = sys.modules['offload_perception.codec.registry']
    with pytest.raises(DecodeError, match='bzip2'):
        registry.parse('bzip2', spec).codec.decode(memoryview(bytes(9)), spec, 9)


def test_an_image_source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    apply('An image source', monkeypatch)
    np.save(tmp_path / 'a.npy', np.full((3, 48, 64, 3), 7, np.uint8))
    check_source(f'npy:{tmp_path}/a.npy')
    with open_source(f'npy:{tmp_path}/a.npy', width=32, height=24) as source:
        frame = source.next()
    assert frame.rgb.shape == (24, 32, 3) and frame.rgb.mean() == 7 and source.rate_hz == 10
    with pytest.raises(SourceError, match=r'no such file.*npy:FILE'):
        check_source(str(tmp_path / 'nothing'))


def test_a_runtime(monkeypatch: pytest.MonkeyPatch, artefact: Artefact) -> None:
    apply('A runtime', monkeypatch)
    assert resolve('cpu', 'reference').runtime == 'reference'
    ends = artefact.segment_file(1), *artefact.end_specs(1, 1)
    x = np.random.default_rng(0).integers(0, 256, artefact.input.shape, np.uint8)
    ours, theirs = (load_cpu(name, *ends, threads=1).run((x,))[0].astype(int)
                    for name in ('reference', 'litert'))
    np.testing.assert_allclose(ours, theirs, atol=1)


def test_the_choices_of_parameter_runtime_are_the_table() -> None:
    choices = {f.name: f.metadata['choices'] for f in fields(NetworkConfig)}['runtime']
    assert choices == ('auto', *RUNTIMES, PYCORAL)


def test_a_mission_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    apply('A mission policy', monkeypatch)
    settings, verdict = policy.PolicySettings(hold_s=2.0), policy.Verdict()
    for now_s in (0.0, 2.0):
        verdict = policy.decide(verdict, Vehicle(True, False, 'AUTO.LOITER'), None, now_s,
                                settings)
    assert (verdict.policy.name, verdict.reason) == ('loiter', 'it loiters')
    assert verdict.policy.terms(settings) == (1.0, 2.0)


def test_a_power_meter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    apply('A power meter', monkeypatch)
    settings = Settings(DRONE, {'meter': 'iio:ina226'})
    power, = (n for n in DRONE if settings.runs(n) and n.condition == 'meter')
    assert settings.parameters(power) == {'source': 'iio:ina226'}
    for name, value in {'name': 'ina226', 'in_voltage1_raw': 4000, 'in_voltage1_scale': 1.25,
                        'in_current3_raw': 500, 'in_current3_scale': 1, 'in_power2_raw': 100,
                        'in_power2_scale': 25}.items():
        file = tmp_path / 'bus/iio/devices/iio:device0' / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f'{value}\n')
    sample = open_power_source('iio:ina226', tmp_path).read()
    assert (sample.voltage_v, sample.current_a, sample.power_w) == (5.0, 0.5, 2.5)
    with pytest.raises(MeterError, match=r'iio:ina219.*no device ina219'):
        open_power_source('iio:ina219', tmp_path)
    file.write_text('nan')
    with pytest.raises(MeterError, match='in_power2_scale is no scale'):
        open_power_source('iio:ina226', tmp_path)


TITLES = ('A codec', 'An image source', 'A runtime', 'A mission policy', 'A power meter')


@pytest.mark.parametrize('title', TITLES)
def test_the_examples_keep_the_rules_of_the_code(title: str, tmp_path: Path) -> None:
    pytest.importorskip('ruff')
    for file, table, text in blocks(title):
        if not table and not (ROOT / file).exists():
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_text(text)
    # The order of imports depends on which files are there.
    done = subprocess.run([sys.executable, '-m', 'ruff', 'check', '--no-cache', '--ignore=I001',
                           '--config', ROOT / 'pyproject.toml', tmp_path],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
