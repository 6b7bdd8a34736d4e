"""A folder that looks like the parts of /sys that are read, for a computer that is not here."""

from pathlib import Path


class FakeSysfs:
    """Writes thermal zones, cooling devices, clocks and a Raspberry Pi's flags."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, path: str, value: object) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f'{value}\n')

    def zone(self, n: int, name: str, celsius: float, **trips: float) -> None:
        folder = f'class/thermal/thermal_zone{n}'
        self.write(f'{folder}/type', name)
        self.write(f'{folder}/temp', int(celsius * 1000))
        for k, (kind, limit_c) in enumerate(trips.items()):
            self.write(f'{folder}/trip_point_{k}_type', kind)
            self.write(f'{folder}/trip_point_{k}_temp', int(limit_c * 1000))

    def cooling(self, kind: str, state: int) -> None:
        self.write('class/thermal/cooling_device0/type', kind)
        self.write('class/thermal/cooling_device0/cur_state', state)

    def clock(self, mhz: int, top_mhz: int) -> None:
        self.write('devices/system/cpu/cpu0/cpufreq/scaling_cur_freq', mhz * 1000)
        self.write('devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq', top_mhz * 1000)

    def flags(self, flags: int) -> None:
        self.write('devices/platform/soc/soc:firmware/get_throttled', f'{flags:x}')
