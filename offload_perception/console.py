"""What every command does alike: one-line errors, JSON files and tables."""

import json
import os
import sys
from collections.abc import Sequence
from functools import wraps
from pathlib import Path
from typing import Any, Protocol

from offload_perception.errors import OffloadError


class Main(Protocol):
    """The main function of a command: arguments (default: those of the process) to exit code."""

    def __call__(self, argv: Sequence[str] | None = None) -> int:
        """Run the command."""


def command(main: Main) -> Main:
    """Let `main` end with `error: ...` and exit code 2 if the user's input is wrong."""
    @wraps(main)
    def guarded(argv: Sequence[str] | None = None) -> int:
        try:
            code = main(argv)
            sys.stdout.flush()
            return code
        except BrokenPipeError:  # the reader closed the pipe, as in `plan | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except OffloadError as e:
            print(f'error: {e}', file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print('interrupted', file=sys.stderr)
            return 130
    return guarded


def progress(text: str) -> None:
    """Report progress to the user; standard output stays free for results."""
    print(f'{text} ...', file=sys.stderr, flush=True)


def positive(text: str) -> int:
    """Return a whole number above 0, as a type for argparse."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def write_json(path: str | Path | None, data: Any) -> None:
    """Write `data` into `path`, if one was given."""
    if path is not None:
        Path(path).write_text(json.dumps(data, indent=1) + '\n')


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a Markdown table; numbers stand to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(head), *cells]) for i in range(len(head))]
    right = [all(not isinstance(row[i], str) for row in rows) for i in range(len(head))]

    def line(row: Sequence[str]) -> str:
        padded = (c.rjust(w) if r else c.ljust(w)
                  for c, w, r in zip(row, widths, right, strict=True))
        return f'| {" | ".join(padded)} |'

    rule = [('-' * (w - 1) + ':') if r else '-' * w for w, r in zip(widths, right, strict=True)]
    return '\n'.join([line(head), line(rule), *map(line, cells)])
