"""The names of all cuts, from those that telemetry messages use."""

from collections.abc import Collection

from offload_perception.network.vgg16 import SPECS, VggSpec


def cut_names(seen: dict[int, str], models: Collection[str]) -> tuple[str, ...]:
    """Return the names of all cuts, from 'input' to the last layer.

    They are those of the network that agrees with all cuts seen, of `models` if they are known;
    'layer K' if none does.

    :param seen: names of cuts by number.
    """
    ours = [s for s in SPECS.values() if s.name in models] or list(SPECS.values())
    for names in map(_names_of, ours):
        if all(0 <= k < len(names) and names[k] == name for k, name in seen.items()):
            return names
    return tuple(seen.get(k, f'layer {k}') for k in range(max(seen, default=0) + 1))


def _names_of(spec: VggSpec) -> tuple[str, ...]:
    names = ['input']
    for block, convolutions in enumerate(spec.blocks, 1):
        names += [f'block{block}_conv{i}' for i in range(1, convolutions + 1)]
        names.append(f'block{block}_pool')
    return (*names, *(f'fc{i}' for i in range(1, len(spec.fc) + 1)), 'predictions')
