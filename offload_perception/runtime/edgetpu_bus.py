"""Edge TPUs on USB and PCIe, and the processes that have them open."""

import os
from dataclasses import dataclass
from pathlib import Path

# A stick shows the first id until its firmware is loaded, at first use, and then the second.
USB_IDS = {('1a6e', '089a'): 'firmware not loaded yet', ('18d1', '9302'): 'initialised'}


@dataclass(frozen=True)
class Attached:
    """An Edge TPU: its device node, and its kind and state in words."""

    node: Path
    what: str


@dataclass(frozen=True)
class Bus:
    """Where to look for devices; tests look elsewhere."""

    sys: Path = Path('/sys')
    dev: Path = Path('/dev')
    proc: Path = Path('/proc')

    def attached(self) -> list[Attached]:
        """Return the Edge TPUs of this machine."""
        pci = [Attached(node, 'PCIe Edge TPU') for node in sorted(self.dev.glob('apex_*'))]
        return [*self._usb(), *pci]

    def holders(self, node: Path) -> list[str]:
        """Return the processes that have `node` open, of those that this user may look into."""
        return [f'{_text(process / "comm") or "process"} ({process.name})'
                for process in self.proc.glob('[0-9]*')
                if int(process.name) != os.getpid() and _has_open(process, node)]

    def _usb(self) -> list[Attached]:
        found = []
        for folder in sorted(self.sys.glob('bus/usb/devices/*')):
            state = USB_IDS.get((_text(folder / 'idVendor'), _text(folder / 'idProduct')))
            numbers = [_text(folder / name) for name in ('busnum', 'devnum')]
            if state and all(n.isdecimal() for n in numbers):  # it was not unplugged just now
                number = '/'.join(n.zfill(3) for n in numbers)
                found.append(Attached(self.dev / 'bus' / 'usb' / number,
                                      f'USB Edge TPU at {folder.name}, {state}'))
        return found


def _has_open(process: Path, node: Path) -> bool:
    try:
        descriptors = list((process / 'fd').iterdir())
    except OSError:  # no permission, or gone
        return False
    return any(_target(descriptor) == str(node) for descriptor in descriptors)


def _target(link: Path) -> str | None:
    try:
        return os.readlink(link)
    except OSError:  # it is closed by now
        return None


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ''
