"""Parse what edgetpu_compiler prints.

The wording is that of versions 1.0 to 16, as users pasted it into issue reports of the compiler.
Standard output says `Input model: x.tflite`, a `.log` file `Input: x.tflite`, and has no sizes.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

UNITS = {'': 1, 'Ki': 1024, 'Mi': 1024**2, 'Gi': 1024**3}
MAPPED = 'Mapped to Edge TPU'
_NUMBER = r'(\d{1,15})'
_SIZE = r'(\d{1,15}(?:\.\d{1,15})?)((?:[KMG]i)?)B'
_TABLE_ROW = re.compile(rf'^([A-Z0-9_]+)\s+{_NUMBER}\s+(\S.*)$')
_LINES = {
    'version': re.compile(r'^Edge TPU Compiler version (\S+)'),
    'input': re.compile(r'^Input(?: model)?: (.+)$'),
    'output': re.compile(r'^Output(?: model)?: (.+)$'),
    'on_chip_used': re.compile(
        rf'^On-chip memory used for caching model parameters: {_SIZE}'),
    'on_chip_available': re.compile(
        rf'^On-chip memory available for caching model parameters: {_SIZE}'),
    'on_chip_remaining': re.compile(
        rf'^On-chip memory remaining for caching model parameters: {_SIZE}'),
    'off_chip': re.compile(
        rf'^Off-chip memory used for streaming uncached model parameters: {_SIZE}'),
    'total': re.compile(rf'^Total number of operations: {_NUMBER}'),
    'on_tpu': re.compile(rf'^Number of operations that will run on Edge TPU: {_NUMBER}'),
    'on_cpu': re.compile(rf'^Number of operations that will run on CPU: {_NUMBER}'),
    'failed': re.compile(r'^(ERROR: .+|Compilation failed.+\w.*|Internal compiler error.*'
                         r'|Invalid model: .+|Model not quantized.*|Compilation .*timed out.*'
                         r'|terminate called .+)$'),
}


@dataclass(frozen=True)
class Operator:
    """A row of the compiler's table: `count` operators of one kind share `status`."""

    name: str
    count: int
    status: str

    @property
    def mapped(self) -> bool:
        """Return True if these operators run on the Edge TPU."""
        return self.status == MAPPED


@dataclass(frozen=True)
class ModelLog:
    """The compiler's report of one model; sizes in bytes, None if not reported.

    `on_chip_available` is the older compilers' line, not the newer `on_chip_used`.
    """

    input: str
    output: str | None = None
    on_chip_used: int | None = None
    on_chip_available: int | None = None
    on_chip_remaining: int | None = None
    off_chip: int | None = None
    total: int | None = None
    on_tpu: int | None = None
    on_cpu: int | None = None
    operators: tuple[Operator, ...] = ()


@dataclass(frozen=True)
class CompilerLog:
    """A whole run of the compiler: its version, its models and its errors."""

    version: str | None
    models: tuple[ModelLog, ...]
    errors: tuple[str, ...]


def parse_log(text: str) -> CompilerLog:
    """Return what standard output, or a `.log` file, of the compiler says."""
    version: str | None = None
    models: list[dict[str, Any]] = []
    errors: list[str] = []
    fields: dict[str, Any] = {}
    for key, value in _facts(text):
        if key == 'version':
            version = value
        elif key == 'failed':
            errors.append(value)
        elif key == 'input':
            fields = {'input': value, 'operators': []}
            models.append(fields)
        elif key == 'operator' and fields:
            fields['operators'].append(value)
        elif fields:
            fields[key] = value
    return CompilerLog(version, tuple(map(_model, models)), tuple(errors))


def parse_size(number: str, unit: str) -> int:
    """Return the bytes of a size such as `7.67`, `Mi`."""
    return round(float(number) * UNITS[unit])


def _facts(text: str) -> Iterator[tuple[str, Any]]:
    for line in map(str.strip, text.splitlines()):
        for key, pattern in _LINES.items():
            if match := pattern.match(line):
                yield key, _value(match)
                break
        else:
            if match := _TABLE_ROW.match(line):
                name, count, status = match.groups()
                yield 'operator', Operator(name, int(count), status)


def _value(match: re.Match[str]) -> int | str:
    if match.re.groups == 2:
        return parse_size(*match.groups())
    text = match.group(1)
    return int(text) if _NUMBER in match.re.pattern else text


def _model(fields: dict[str, Any]) -> ModelLog:
    """Complete the counts: the compiler leaves them out if all operators are mapped."""
    operators = tuple(fields.pop('operators'))
    if operators and 'on_tpu' not in fields:
        fields['on_tpu'] = sum(o.count for o in operators if o.mapped)
        fields['on_cpu'] = sum(o.count for o in operators if not o.mapped)
    return ModelLog(**fields, operators=operators)
