"""A program that was not written for the emulator reads it as it would a meter."""

import pytest

from offload_perception.power.drivers.um25c import MODELS
from offload_perception.power.emulation.emulator_process import spawn_emulator

pyummeter = pytest.importorskip(
    'pyummeter', reason='optional: `pip install pyummeter` to read the emulator with it')


@pytest.mark.parametrize('model', sorted(MODELS))
def test_pyummeter_reads_the_emulator(model: bytes) -> None:
    with spawn_emulator(model=model, idle_w=2.0, full_load_w=6.0) as emulator:
        emulator.set_load(0.0)
        with pyummeter.UMmeter(pyummeter.UMmeterInterfaceTTY(emulator.port)) as meter:
            data = meter.get_data()
    assert data['model'] == model
    assert data['power'] == pytest.approx(data['voltage'] * data['intensity'], abs=0.02)
    assert data['charging_mode'] == 'DCP1.5A'
