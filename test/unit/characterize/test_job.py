from itertools import count
from pathlib import Path

import pytest

from offload_perception.characterize.backends import Backend
from offload_perception.characterize.child import time_runs
from offload_perception.characterize.job import DoesNotFitError, Job, Timing, _outcome, run_job
from offload_perception.errors import ModelError, RuntimeUnavailableError
from offload_perception.network.artefact import Artefact

JOB = Job('litert', 1, 0.0, 1)


def test_runs_until_the_time_is_over() -> None:
    ticks = count()
    timing = time_runs(lambda: None, Timing(0), seconds=5.0, runs=1, clock=lambda: next(ticks))
    assert (timing.runs, timing.start_s, timing.end_s) == (5, 0, 5)
    assert (timing.mean_s, timing.spread_s, timing.least_s) == (1.0, 0.0, 1.0)


def test_runs_as_often_as_asked_where_the_time_is_short() -> None:
    ticks = count()
    timing = time_runs(lambda: None, Timing(0), seconds=0.0, runs=7, clock=lambda: next(ticks))
    assert timing.runs == 7


def test_a_prefix_runs_in_a_process_of_its_own(artefact: Artefact) -> None:
    pids = []
    backend = Backend('int8', artefact, runtime='litert', float_file=Path('unused'))
    with backend.job(2, threads=1, seconds=0.0, runs=3, limit_bytes=None) as job:
        timing = run_job(job, pids.append)
    assert timing.runs == 3
    assert 0.0 < timing.least_s <= timing.mean_s
    assert 0 < timing.base_bytes < timing.peak_bytes
    assert timing.device == 'litert on cpu'
    assert len(pids) == 1


def test_a_file_that_is_no_model_is_named(tmp_path: Path, artefact: Artefact) -> None:
    file = tmp_path / 'broken.tflite'
    file.write_bytes(b'nothing')
    ends = [[spec.to_dict() for spec in specs] for specs in artefact.end_specs(1, 1)]
    with pytest.raises(ModelError, match=r'broken\.tflite'):
        run_job(Job('litert', 1, 0.0, 1, file=str(file), inputs=ends[0], outputs=ends[1]))


def test_memory_that_ran_out_is_distinguished_from_other_errors() -> None:
    with pytest.raises(DoesNotFitError, match='out of memory: no more'):
        _outcome(JOB, 0, '{"error": "MemoryError", "message": "no more"}', '')
    with pytest.raises(DoesNotFitError, match='ended with -9'):
        _outcome(JOB, -9, '', '')
    with pytest.raises(DoesNotFitError, match='bad_alloc'):
        _outcome(JOB, -6, '', "terminate called after throwing 'std::bad_alloc'")
    with pytest.raises(RuntimeUnavailableError, match='ended with -11: oh'):
        _outcome(JOB, -11, '', 'well\noh\n')


def test_under_a_limit_a_file_that_cannot_be_loaded_does_not_fit() -> None:
    said = '{"error": "ModelError", "message": "cannot load it"}'
    limited = Job('litert', 1, 0.0, 1, limit_bytes=1)
    with pytest.raises(DoesNotFitError):
        _outcome(limited, 0, said, '')
    with pytest.raises(ModelError):
        _outcome(JOB, 0, said, '')
