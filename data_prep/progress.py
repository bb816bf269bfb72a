"""Progress: a bar on a terminal; in a log or under a scheduler, a line now and then."""

import sys
import time

EVERY = 60.0  # seconds between lines where there is no terminal


class Progress:
    """Counts finished items on stderr. A context manager that ends the bar; in a log, short work prints nothing.

    Args:
      total: number of items; None if unknown.
      unit: what is counted, "img".
      label: text before the count.
      initial: number of items done before.
      shown: False for silence.
      leave: whether the finished bar stays on the terminal.
    """

    def __init__(self, total=None, unit="it", label="", initial=0, shown=True, leave=True):
        self.total, self.unit, self.label, self.done, self.note = total, unit, label, initial, ""
        self.began, self.initial = time.monotonic(), initial
        self.bar, self.lines = None, shown and sys.stderr is not None and not sys.stderr.isatty()
        self.last = self.began
        if shown and not self.lines and sys.stderr is not None:
            from tqdm import tqdm

            tqdm.monitor_interval = 0  # no thread of its own: workers are forked from this process
            self.bar = tqdm(
                total=total, desc=label or None, unit=unit, initial=initial, leave=leave, smoothing=0.1, file=sys.stderr
            )

    def update(self, count=1):
        """Count more finished items."""
        self.done += count
        if self.bar is not None:
            self.bar.total = self.total
            self.bar.update(count)
        elif self.lines and time.monotonic() - self.last >= EVERY:
            self.last = time.monotonic()
            self.write(self._line())

    def set(self, done, total):
        """Set the number of finished items and the total."""
        self.total = total
        self.update(done - self.done)

    def say(self, note):
        """Set figures to show behind the count."""
        self.note = note
        if self.bar is not None:
            self.bar.set_postfix_str(note)

    def write(self, line):
        """Print a line on stderr, above the bar if there is one; nothing if progress is not shown."""
        if self.bar is not None:
            self.bar.write(line, file=sys.stderr)
        elif self.lines:
            print(line, file=sys.stderr, flush=True)

    def over(self, items):
        """Iterate over items; each is counted when the next is requested."""
        with self:
            for item in items:
                yield item
                self.update()

    def close(self):
        """End the bar."""
        if self.bar is not None:
            self.bar.close()

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        self.close()

    def _line(self):
        rate = (self.done - self.initial) / (time.monotonic() - self.began)
        of = f" of {self.total:,}" if self.total else ""
        left = f", {_clock((self.total - self.done) / rate)} left" if self.total and rate > 0 else ""
        start = f"{self.label}: " if self.label else ""
        note = f", {self.note}" if self.note else ""
        units = self.unit if self.unit in ("img", "it") or (self.total or self.done) == 1 else f"{self.unit}s"
        return f"{start}{self.done:,}{of} {units}, {rate:,.3g} {self.unit}/s{left}{note}"


def _clock(seconds):
    """Seconds as h:mm:ss."""
    minutes, seconds = divmod(round(max(0, seconds)), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
