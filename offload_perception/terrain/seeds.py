"""Random streams that no two splits share."""

import numpy as np

from offload_perception.errors import ConfigError

SPLITS = ('train', 'val', 'test')


def stream(purpose: str, split: str, *seed: int) -> np.random.Generator:
    """Return the generator of one thing: same arguments, same stream; any other, another.

    :param purpose: what is drawn, so that tiles and flights of one seed differ.
    :raises ConfigError: if the split does not exist or a seed is negative.
    """
    if split not in SPLITS:
        raise ConfigError(f"no split '{split}'; use one of {', '.join(SPLITS)}")
    if min(seed, default=0) < 0:
        raise ConfigError(f'a seed is negative: {seed}; use 0 or more')
    return np.random.default_rng([*purpose.encode(), 256 + SPLITS.index(split), *seed])
