"""Readable names for the operators of a .tflite file, from its long TensorFlow scopes."""

import re
from collections import Counter

from offload_perception.network.operator_graph import Graph

LONGEST = 48
RESERVED = ('input', 'auto', 'preprocess')
# The last words of a scope that name an operation of a layer, not the layer.
_OPERATIONS = re.compile(
    r'(Relu|Relu6|relu|relu6|BiasAdd|Conv2D|conv2d|Conv2D_Fold|add_fold|MatMul|separable_conv2d|'
    r'convolution|FusedBatchNormV?\d?|batchnorm.*|act_quant.*|MaxPool2d|MaxPool|AvgPool)'
    r'(_?\d+)?(:\d+)?')
_NOISE = re.compile(r'StatefulPartitionedCall.*|PartitionedCall.*|tfl\.\w+|Identity_?\d*|'
                    r'model(_\d+)?|functional(_\d+)?|sequential(_\d+)?|serving_default_.*')


def operator_layer_names(graph: Graph) -> list[str]:
    """Return one name for each operator, all different, the same for the same file.

    A name is the scope of the tensor that the operator makes, without what all scopes share and
    without the words for the operation; one without a scope is called after its operation.
    """
    scopes = [_scope(graph.name(int(o.outputs[0]))) for o in graph.operators]
    shared = _shared([s for s in scopes if s])
    names = []
    for scope, operator in zip(scopes, graph.operators, strict=True):
        words = scope[shared:] if len(scope) > shared else scope[-1:]
        kept = list(words)
        while len(kept) > 1 and _OPERATIONS.fullmatch(kept[-1]):
            kept.pop()
        kind = _clean(graph.custom_name(operator) or graph.opcode(operator)).lower()
        names.append(_shortened(kept or [kind]))
    return _different(names, [s[-1:] for s in scopes])


def _scope(name: str) -> list[str]:
    words = name.split(';')[0].split('/batchnorm')[0].split('/')
    cleaned = [_clean(word) for word in words if word and not _NOISE.fullmatch(word)]
    return [word for k, word in enumerate(cleaned) if k == 0 or word != cleaned[k - 1]]


def _clean(word: str) -> str:
    return re.sub(r'[^\w.\-]', '_', word, flags=re.ASCII)


def _shared(scopes: list[list[str]]) -> int:
    """Return how many words all scopes of more than one word begin with."""
    several = [scope for scope in scopes if len(scope) > 1]
    if not several:
        return 0
    count = 0
    most = min(len(scope) for scope in several) - 1
    while count < most and len({scope[count] for scope in several}) == 1:
        count += 1
    return count


def _shortened(words: list[str]) -> str:
    while len(words) > 1 and len('/'.join(words)) > LONGEST:
        words = words[1:]
    name = '/'.join(words)[-LONGEST:]
    return f'layer_{name}' if name in RESERVED or name.lstrip('-').isdecimal() else name


def _different(names: list[str], operations: list[list[str]]) -> list[str]:
    """Add the operation to names that come more than once, and a number where that is the same."""
    counts = Counter(names)
    named = [_shortened([*name.split('/'), *operation]) if counts[name] > 1
             and not name.endswith(_shortened(operation)) else name
             for name, operation in zip(names, operations, strict=True)]
    seen: set[str] = set()
    result = []
    for name in named:
        unique, number = name, 2
        while unique in seen:
            unique, number = f'{name}_{number}', number + 1
        seen.add(unique)
        result.append(unique)
    return result
