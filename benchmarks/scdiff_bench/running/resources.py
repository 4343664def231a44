"""Seconds and peak memory of a block of code."""

from __future__ import annotations

import gc
import threading
import time
from types import TracebackType

import psutil

MB = 1e6


class Measure:
    """Context manager that measures wall time, CPU time and resident memory.

    Resident memory is that of the whole process, libraries and data included, sampled by a
    thread; ``added_mb`` is what the block added to what was there before it.

    Parameters
    ----------
    interval : float, default=0.01
        Seconds between two samples of the memory.

    Attributes
    ----------
    seconds, cpu_seconds : float
        Wall time and CPU time.
    peak_mb, added_mb : float
        Peak resident memory in units of 10^6 bytes, and its rise within the block.
    """

    def __init__(self, interval: float = 0.01) -> None:
        self.interval = interval
        self.seconds = self.cpu_seconds = self.peak_mb = self.added_mb = 0.0

    def __enter__(self) -> Measure:
        gc.collect()
        self._process = psutil.Process()
        self._before = self._peak = self._process.memory_info().rss
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        self._start, self._cpu_start = time.perf_counter(), time.process_time()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.seconds = time.perf_counter() - self._start
        self.cpu_seconds = time.process_time() - self._cpu_start
        self._stop.set()
        self._thread.join()
        self._sample()
        self.peak_mb = self._peak / MB
        self.added_mb = (self._peak - self._before) / MB

    def _sample(self) -> None:
        self._peak = max(self._peak, self._process.memory_info().rss)

    def _watch(self) -> None:
        while not self._stop.wait(self.interval):
            self._sample()
