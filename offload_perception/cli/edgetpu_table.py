"""The Edge TPU report of a model as a table."""

from offload_perception.console import table
from offload_perception.edgetpu.mapping import CompileReport


def edgetpu_table(report: CompileReport) -> str:
    """Return the Edge TPU report as text and a table."""
    source = 'ESTIMATE, no compiler was run' if report.estimate else f'compiler {report.compiler}'
    rows = [(i, r.name, _known(r.mapped), _known(r.unmapped), _known(r.on_chip_bytes),
             _known(r.off_chip_bytes), report.streamed_bytes(i), r.activation_bytes)
            for i, r in enumerate(report.layers, 1)]
    head = ('cut', 'layer', 'mapped', 'on CPU', 'on-chip bytes', 'off-chip bytes',
            'streamed up to here', 'activation bytes')
    problems = [f'{r.name}: {p}' for r in report.layers for p in r.problems]
    return '\n'.join([f'Edge TPU ({source}); parameters fit up to cut {report.last_cached_cut}',
                      '', table(head, rows), *problems])


def _known(value: int | None) -> int | str:
    return '?' if value is None else value
