"""Starts commands of the package as a user does, and ends every process."""

import os
import re
import signal
import subprocess
import time
import uuid
from threading import Condition, Thread

import psutil
from waits import WAIT_S

CLOSING = re.compile(r'frames: captured (\d+) = remote (\d+) \+ local (\d+) \+ dropped (\d+)'
                     r'(?: \((.*)\))?(?: \+ under way (\d+))?')
LIVE = r'^ *\d+\.\d s \|'  # a line a second of a demo or a monitor
FLYING = LIVE + r' +[1-9]\d*\.\d fps'
_MARK = 'OFFLOAD_PERCEPTION_TEST_RUN'


def _as_in_a_terminal() -> None:
    """Let SIGINT have its effect: a shell ignores it for what it starts in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Command:
    """A running command; its children are found again by a mark in their environment."""

    def __init__(self, *words: str, env: dict[str, str] | None = None) -> None:
        self.lines: list[str] = []
        self._changed = Condition()
        self._mark = uuid.uuid4().hex
        self.process = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors='replace', start_new_session=True, preexec_fn=_as_in_a_terminal,
            env={**os.environ, 'PYTHONUNBUFFERED': '1', **(env or {}), _MARK: self._mark})
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line.rstrip())
                self._changed.notify_all()

    @property
    def output(self) -> str:
        return '\n'.join(self.lines)

    def said(self, pattern: str, after: int = 0) -> re.Match[str]:
        """Wait for a line that matches, after the first `after` lines."""
        def found() -> re.Match[str] | None:
            return next(filter(None, (re.search(pattern, x) for x in self.lines[after:])), None)
        with self._changed:
            match = self._changed.wait_for(found, WAIT_S)
        assert match, f'no line matches {pattern!r}:\n{self.output}'
        return match

    def wait(self) -> int:
        """Wait for the end; return the exit code."""
        try:
            code = self.process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f'does not end:\n{self.output}') from None
        self._reader.join(WAIT_S)
        return code

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def family(self) -> list[psutil.Process]:
        """Return the processes of this command that are alive, orphans too."""
        found = []
        for process in psutil.process_iter():
            try:
                if (process.environ().get(_MARK) == self._mark
                        and process.status() != psutil.STATUS_ZOMBIE):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def child(self, name: str) -> psutil.Process:
        """Return the process that runs the executable `name`."""
        return next(p for p in self.family() if any(
            os.path.basename(word) == name for word in p.cmdline()[:2]))

    def nobody_is_left(self) -> bool:
        give_up_s = time.monotonic() + WAIT_S
        while left := self.family():
            if time.monotonic() > give_up_s:
                raise AssertionError(f'left behind: {[p.cmdline() for p in left]}')
            psutil.wait_procs(left, timeout=0.2)
        return True

    def end(self) -> None:
        """End whatever is still alive, by force."""
        for process in self.family():
            try:
                process.kill()
            except psutil.Error:
                continue
        self.process.wait(WAIT_S)
        self._reader.join(WAIT_S)
        self.process.stdout.close()


def closing(output: str) -> tuple[int, int, int, int, dict[str, int], int]:
    """Return captured, remote, local, dropped, reasons and under way of the closing line."""
    match = CLOSING.search(output)
    assert match, output
    captured, remote, local, dropped, tally, under_way = match.groups()
    reasons = dict(item.rsplit(' ', 1) for item in tally.split(', ')) if tally else {}
    return (int(captured), int(remote), int(local), int(dropped),
            {reason: int(n) for reason, n in reasons.items()}, int(under_way or 0))


def adds_up(output: str) -> bool:
    captured, remote, local, dropped, reasons, under_way = closing(output)
    return (captured == remote + local + dropped + under_way
            and sum(reasons.values()) == dropped)
