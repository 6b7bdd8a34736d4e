"""Fuzz one parser with atheris, guided by the coverage of this package and of MCAP's library.

    python fuzz_parser.py TARGET FOLDER [libFuzzer's options]    FOLDER keeps the inputs found
"""

import sys
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=['offload_perception', 'mcap', 'mcap_ros2']):
    from fuzz.targets import TARGETS


def main() -> None:
    name, folder, *options = sys.argv[1:]
    target = TARGETS[name]
    warnings.simplefilter('ignore')  # of Pillow, of pictures that are a little damaged
    Path(folder).mkdir(parents=True, exist_ok=True)
    with atheris.instrument_imports(include=['offload_perception', 'mcap', 'mcap_ros2']):
        for k, seed in enumerate(target.seeds()):
            target.run(seed)  # imports what is imported late
            Path(folder, f'seed{k}').write_bytes(seed)

    def parse(data: bytes) -> None:
        target.run(data)

    atheris.Setup([sys.argv[0], folder, f'-max_len={target.most_bytes}', *options], parse)
    atheris.Fuzz()


if __name__ == '__main__':
    main()
