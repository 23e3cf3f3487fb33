"""The process that computes, and the one that packs as it sees it: the first may end at any moment, the second not.

Only the worker loads JAX. It does one command at a time, asked with a line of JSON on its standard input, and answers
with one. Nothing interrupts it: where the minutes are over, where its compiler crashes or a card fails, it is killed
and is gone, and what it had finished lies on the disk, whole (`ldm.files.write_atomic`). What it prints is the log.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


class Worker:
    """A process that serves (`serve`), started when it is first asked, and again after it has ended.

    Args:
        program: what to run. log: the file that gets what it prints. environment: variables besides one's own.
        risky: more of them, which are left out, and the question asked again, once a process has ended under them: a
            compiler's flags, which another version of it may not know.
    """

    def __init__(
        self,
        program: Sequence[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
        risky: Mapping[str, str] | None = None,
    ):
        self.program, self.log = list(program), log
        self.environment, self.risky = dict(environment or {}), dict(risky or {})
        self._process: subprocess.Popen | None = None
        self._line = ""

    def ask(self, question: Mapping[str, object]) -> None:
        """Have a command done; `answer` says what came of it."""
        self._line = json.dumps(question) + "\n"
        self._ask()

    def answer(self, seconds: float) -> str | None:
        """Return what failed, "" if nothing did, None if there is no answer within these seconds."""
        if not select.select([self._process.stdout], [], [], seconds)[0]:
            return None
        if line := self._process.stdout.readline():
            return json.loads(line)["failed"]
        self._process.wait()
        failed = f"the process that computes ended with status {self._process.returncode}"
        self.end()
        if not self.risky:
            return failed
        with self.log.open("a") as log:
            log.write(f"{failed}; once more, without {self.risky}\n")
        self.risky = {}
        self._ask()
        return None

    def end(self) -> None:
        """Kill it and all that it has started; it is started anew when it is asked again."""
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process.stdin.close()
            self._process.stdout.close()
            self._process = None

    def _ask(self) -> None:
        if self._process is None:
            with self.log.open("a") as log:
                self._process = subprocess.Popen(
                    self.program,
                    env=os.environ | self.environment | self.risky,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    bufsize=1,
                    process_group=0,
                )
        with contextlib.suppress(BrokenPipeError):  # it has ended, which the answer will say
            self._process.stdin.write(self._line)


def serve(prepare: Callable[[], Callable[..., None]]) -> None:
    """Do in the worker what is asked, one after another, until the one that asks is gone.

    prepare: is called once, and returns what is then called with each question's items.
    """
    import faulthandler

    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever prints, prints into the log
    faulthandler.enable()
    questions: queue.SimpleQueue = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(questions,), daemon=True).start()
    do = prepare()
    while True:
        question, failed = questions.get(), ""
        try:
            do(**question)
        except (Exception, SystemExit) as error:  # whatever it is, the next command may not meet it
            traceback.print_exc()
            failed = f"{type(error).__name__}: {error}"
        sys.stdout.flush()
        answers.write(json.dumps({"failed": failed}) + "\n")


def _listen(questions: queue.SimpleQueue) -> None:
    for line in sys.stdin:
        questions.put(json.loads(line))
    os.killpg(0, signal.SIGKILL)  # nobody would pack what came after; and the card is wanted by the next call


def _computing() -> Callable[..., None]:
    from launch.gpu.compute import prepare

    return prepare()


if __name__ == "__main__":  # here, since the processes that draw scenes import this file again, and need no JAX
    serve(_computing)
