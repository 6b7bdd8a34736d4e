"""Whether labels are meaningful: the training images compared with the camera's."""

from collections.abc import Mapping

TERRAIN, PHOTOGRAPHS = 'generated terrain', 'photographs'
_TRAINED_ON = {f'trained on {TERRAIN}': TERRAIN, 'imagenet': PHOTOGRAPHS}  # Artefact.weights


def shown(source: str) -> set[str]:
    """Return what a camera's `source` shows; another driver's camera ('') takes photographs."""
    return {TERRAIN if part.strip().partition(':')[0] == 'terrain' else PHOTOGRAPHS
            for part in source.split('+')}


def caveat(trained: bool, weights: str, source: str) -> str:
    """Return why the labels mean nothing, in words; empty if they are meaningful.

    :param weights: those of the prepared model, as its manifest names them.
    :param source: parameter `source` of the camera; empty if the camera is not ours.
    """
    if not trained:
        return 'UNTRAINED network: its labels mean nothing'
    trained_on = _TRAINED_ON.get(weights)
    foreign = shown(source) - {trained_on}
    if trained_on is None or not foreign:
        return ''
    return (f'labels mean nothing on {" and ".join(sorted(foreign))}: the network was trained on '
            f'{trained_on}')


def player_of(edge: Mapping[str, str], camera: Mapping[str, str]) -> Mapping[str, str]:
    """Return the values of the node that plays the source: the camera's, or the edge node."""
    return camera or edge


def run_caveats(trained: bool | None, edge: Mapping[str, str],
                camera: Mapping[str, str]) -> list[str]:
    """Return the caveats on the labels of a run; empty if there are none.

    :param trained: as the results say of their network; None if there is none yet.
    :param edge: values in the diagnostics of the drone's edge_inference; empty if unknown.
    :param camera: the same of its camera.
    """
    if trained is None and not edge:
        return []
    words = caveat(trained is not False, edge.get('weights', ''),
                   player_of(edge, camera).get('source', ''))
    return [words] if words else []
