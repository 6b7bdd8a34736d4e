"""Print the log of the fault suite as a table: python test/faults/outcomes.py LOG"""

import json
import sys
from pathlib import Path
from typing import Any

from offload_perception.console import table


def row(line: dict[str, Any]) -> list[Any]:
    """Return the cells of a case."""
    inside = ', '.join(f'{n} {outcome}' for outcome, n in line['in_fault'].items() if n)
    dropped = ', '.join(f'{reason} {n}' for reason, n in line['reasons'].items())
    times_s = [s for s in line['recovered_s'] if s is not None]
    never = len(line['recovered_s']) - len(times_s)
    recovered = f'{sorted(times_s)[len(times_s) // 2]:.2f}, {max(times_s):.2f}' if times_s else '-'
    return [line['fault'], line['times'], line['frames'], inside or '-', dropped or '-',
            recovered + (f' ({never} never)' if never else '')]


def main() -> None:
    """Print the table."""
    lines = [json.loads(text) for text in Path(sys.argv[1]).read_text().splitlines()]
    print(table(('fault', 'times', 'frames', 'frames in the fault', 'dropped in all, why',
                 'recovered after s: median, most'), [row(line) for line in lines]))


if __name__ == '__main__':
    main()
