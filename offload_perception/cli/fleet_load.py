"""fleet_load: load a running server with the tensors of many simulated drones.

The messages are those of real drones: heads of pictures of a generated flight. Drones send at
their own times, whatever the server answers (an open loop), so that overload shows.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from offload_perception.console import command, positive, progress, write_json
from offload_perception.errors import ConfigError
from offload_perception.load_test.load_plan import LoadPlan
from offload_perception.load_test.tensors import Tensors
from offload_perception.preparation.prepare import prepare
from offload_perception.runtime.open_network import open_network

ANSWER_S, DISCOVERY_S = 5.0, 10.0


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Send, and report."""
    args = _arguments(argv)
    network = open_network(prepare(args.model, args.weights), 'cpu')
    try:
        artefact = network.artefact
        cuts = tuple(artefact.cut(c.strip()) for c in args.cuts.split(','))
        if artefact.last in cuts:
            raise ConfigError(f'cut {artefact.last} leaves nothing to a server')
        plan = LoadPlan(args.drones, args.rate, args.duration, cuts, _numbers(args.deadlines),
                        args.seed, args.flood, args.steady)
        progress(f'encoding tensors of {len(cuts)} cuts of {artefact.name}')
        tensors = Tensors(network, cuts, codec_name=args.codec, seed=args.seed)
    finally:
        network.close()
    from offload_perception.nodes.load_sender import run_load  # needs ROS

    progress(f'loading {args.server} for {args.duration:g} s')
    report = run_load(plan, tensors, args.server, name=args.name, answer_s=ANSWER_S,
                      discovery_s=DISCOVERY_S)
    print('\n'.join(report.lines()))
    write_json(args.json, {'plan': asdict(plan), 'model': artefact.name, 'server': args.server,
                           'bytes': {c: tensors.nbytes(c) for c in cuts}, **report.to_dict()})
    return 0


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(','))
    except ValueError as e:
        raise ConfigError(f"--deadlines is '{text}'; give seconds with commas, such as "
                          '0.1,0.2') from e


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser('fleet_load', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--server', default='/server', help='namespace (default: /server)')
    parser.add_argument('--model', default='aerial', help='that of the server (default: aerial)')
    parser.add_argument('--weights', default='bundled')
    parser.add_argument('--drones', type=positive, default=8, help='default: 8')
    parser.add_argument('--rate', type=float, default=80.0, metavar='HZ',
                        help='tensors a second of all drones together (default: 80)')
    parser.add_argument('--duration', type=float, default=10.0, metavar='S', help='default: 10')
    parser.add_argument('--cuts', default='block5_pool', help='numbers or names with commas; each '
                        'tensor has one by chance (default: block5_pool)')
    parser.add_argument('--deadlines', default='0.2', help='in seconds with commas; each tensor '
                        'has one by chance; 0 = none (default: 0.2)')
    parser.add_argument('--codec', default='auto', help='default: auto, lossless')
    parser.add_argument('--flood', type=float, default=1.0, metavar='N',
                        help='the first drone sends N times its share')
    parser.add_argument('--steady', action='store_true',
                        help='even intervals, as of cameras; else at random (Poisson)')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--name', default='load', help='namespace of the drones (default: load)')
    parser.add_argument('--json', type=Path, metavar='FILE')
    return parser.parse_args(argv)


if __name__ == '__main__':
    sys.exit(main())
