"""A TensorBoard log that cannot be written costs one line, not the run."""

import errno
import threading

from inpaint.training.log import Log


def test_a_log_that_cannot_be_written_is_told_once_without_a_traceback(tmp_path, capsys, monkeypatch):
    leaked = []
    monkeypatch.setattr(threading, "excepthook", leaked.append)
    log = Log(tmp_path, 0, True)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    records = log._writer._get_file_writer().event_writer._async_writer._writer
    monkeypatch.setattr(records, "write", full)
    monkeypatch.setattr(records, "flush", full)
    for step in range(3):
        log._do(log._writer.add_scalar, "train/lr", 1.0, step)
        log.flush()
    log.close()
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and told.startswith(f"warning: {tmp_path}: ") and "No space left" in told
    assert threading.excepthook == leaked.append and not leaked


def test_other_threads_keep_their_tracebacks(tmp_path, monkeypatch):
    found = []
    monkeypatch.setattr(threading, "excepthook", lambda details: found.append(details.exc_type))
    log = Log(tmp_path, 0, True)
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    log.close()
    assert found == [ZeroDivisionError]
