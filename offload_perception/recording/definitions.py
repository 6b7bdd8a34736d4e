"""Message definitions as a bag embeds them: the text of a .msg file and of all it depends on."""

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from offload_perception.errors import BagError

_SEPARATOR = '=' * 80
_FIELD = re.compile(r'^\s*([A-Za-z]\w*(?:/\w+)?(?:/\w+)?)', re.ASCII)
_COMMENT = re.compile(r"""^((?:[^'"#]|'[^']*'|"[^"]*")*)#.*""")  # not within a quoted default
_BUILT_IN = frozenset((
    'bool', 'byte', 'char', 'float32', 'float64', 'int8', 'uint8', 'int16', 'uint16', 'int32',
    'uint32', 'int64', 'uint64', 'string', 'wstring'))


@dataclass(frozen=True)
class MessageType:
    """A type as a bag knows it: `name` as std_msgs/msg/Header, `text` as `encoding` says.

    `hash` is the RIHS01 hash of the type; it and `text` are empty if they are unknown.
    """

    name: str
    text: str
    hash: str = ''
    encoding: str = 'ros2msg'


def concatenated(name: str, definition_of: Callable[[str], str]) -> str:
    """Return the definition of type `name` followed by those of every type inside it.

    The format is the one of MCAP's `ros2msg` schemas (https://mcap.dev/spec/registry#ros2msg).

    :param definition_of: function from a full name to the text of its .msg file.
    """
    texts: dict[str, str] = {}
    pending = [name]
    while pending:
        current = pending.pop(0)
        if current not in texts:
            texts[current] = definition_of(current).rstrip() + '\n'
            pending += _types_in(texts[current], package=current.split('/')[0])
    first, *others = texts.items()
    return first[1] + ''.join(f'{_SEPARATOR}\nMSG: {_short(other)}\n{text}'
                              for other, text in others)


def difference(recorded: MessageType, installed: MessageType) -> str:
    """Return why bytes of the recorded type do not fit the installed one; empty if they do.

    By the hashes, or else by the definitions without comments. What a bag does not contain cannot
    be compared: see `comparable`.
    """
    if recorded.hash and installed.hash:
        same = recorded.hash == installed.hash
    elif _has_text(recorded):
        same = _essence(recorded.text) == _essence(installed.text)
    else:
        same = True
    return '' if same else (f'it was recorded with another definition of {recorded.name} than '
                            'the one that is installed')


@lru_cache(maxsize=256)  # asked for every message
def only_grew(recorded: MessageType, installed: MessageType) -> bool:
    """Return whether the installed type has all that the recorded one has, and more."""
    return _has_text(recorded) and _fields(recorded.text) < _fields(installed.text)


def comparable(recorded: MessageType, installed: MessageType) -> bool:
    """Return whether a bag holds enough of a type to compare it with the installed one."""
    return bool(recorded.hash and installed.hash) or _has_text(recorded)


def _has_text(kind: MessageType) -> bool:
    return bool(kind.text) and kind.encoding == 'ros2msg'


def _essence(text: str) -> list[str]:
    """Return the significant lines of a definition: no comments, no spacing."""
    lines = (_COMMENT.sub(r'\1', line) for line in text.splitlines())
    return [' '.join(line.split()).replace(' =', '=').replace('= ', '=')
            for line in lines if line.strip()]


def _fields(text: str) -> set[tuple[str, str]]:
    """Return the significant lines of a definition, each with the type that it is in."""
    own, *others = re.split(rf'^{_SEPARATOR}\nMSG: (.*)\n', text, flags=re.MULTILINE)
    parts = [('', own), *zip(others[::2], others[1::2], strict=True)]
    return {(name, line) for name, part in parts for line in _essence(part)}


def _types_in(text: str, package: str) -> list[str]:
    """Return the full names of the types that the fields of a definition use."""
    found = (_FIELD.match(line) for line in text.splitlines())
    return [_full(m[1], package) for m in found if m and m[1] not in _BUILT_IN]


def _full(name: str, package: str) -> str:
    parts = name.split('/')
    return f'{parts[0] if len(parts) > 1 else package}/msg/{parts[-1]}'


def _short(name: str) -> str:
    package, _, base = name.split('/')
    return f'{package}/{base}'


@cache
def installed_type(name: str) -> MessageType:
    """Return a type from the ROS packages on AMENT_PREFIX_PATH.

    :raises BagError: if no package there defines it.
    """
    text = concatenated(name, lambda n: _installed_file(n, '.msg').read_text())
    return MessageType(name, text, _installed_hash(name))


def _installed_hash(name: str) -> str:
    try:
        known = json.loads(_installed_file(name, '.json').read_text())['type_hashes']
    except BagError:  # a distribution before Iron
        return ''
    return next((t['hash_string'] for t in known if t['type_name'] == name), '')


def _installed_file(name: str, suffix: str) -> Path:
    package, _, base = name.partition('/')
    for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep):
        path = Path(prefix, 'share', package, f'{base}{suffix}')
        if prefix and path.is_file():
            return path
    raise BagError(f'there is no definition of {name}: install the package {package}, and source '
                   'the workspace (AMENT_PREFIX_PATH)')
