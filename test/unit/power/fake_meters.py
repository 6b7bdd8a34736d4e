"""A folder that looks like the power meters of /sys, and a meter that plays a script."""

from math import nan
from pathlib import Path

from offload_perception.power.drivers.power_meter import PowerMeter
from offload_perception.power.drivers.samples import Sample


class FakePower:
    """Writes sensors of hwmon, power supplies and zones of powercap."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, path: str, value: object) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f'{value}\n')
        return file

    def hwmon(self, number: int, chip: str, **files: object) -> Path:
        """Write a chip's files, such as `in1_input`; return its folder."""
        for name, value in {'name': chip, **files}.items():
            self.write(f'class/hwmon/hwmon{number}/{name}', value)
        return self.root / f'class/hwmon/hwmon{number}'

    def jetson(self) -> Path:
        """Write the INA3221 of a Jetson Orin NX at 5.08 V and 1.24 A on VDD_IN."""
        return self.hwmon(
            1, 'ina3221', in1_label='VDD_IN', in2_label='VDD_CPU_GPU_CV', in3_label='VDD_SOC',
            in7_label='Sum of shunt voltages', in1_input=5080, in2_input=5072, in3_input=5072,
            in4_input=62000, curr1_input=1240, curr2_input=208, curr3_input=416, curr4_input=1864)

    def supply(self, name: str, **files: object) -> None:
        for file, value in files.items():
            self.write(f'class/power_supply/{name}/{file}', value)

    def rapl(self, zone: str, name: str, energy_uj: int, range_uj: int = 262_143_328_850) -> Path:
        """Write a zone's files; return that of its counter."""
        self.write(f'class/powercap/{zone}/name', name)
        self.write(f'class/powercap/{zone}/max_energy_range_uj', range_uj)
        return self.write(f'class/powercap/{zone}/energy_uj', energy_uj)


class ScriptedMeter(PowerMeter):
    """Gives volts and amperes one after the other, half a second apart, the last for ever."""

    description, rate_hz = 'scripted meter', 1000.0

    def __init__(self, *script: tuple[float, float]) -> None:
        self._script, self.t_s = list(script), 0.0

    def read(self) -> Sample:
        volt, ampere = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        self.t_s += 0.5
        return Sample(self.t_s, volt, ampere, volt * ampere)


class WattMeter(ScriptedMeter):
    """Gives watts alone, of the same script."""

    def read(self) -> Sample:
        sample = super().read()
        return Sample(sample.t_s, nan, nan, sample.power_w)
