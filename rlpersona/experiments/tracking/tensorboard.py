"""TensorBoard files, beside the `metrics.jsonl` that they show: `tensorboard --logdir runs`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rlpersona.experiments.tracking.rows import Row, Update, scalars, step_of
from rlpersona.store import CONFIG

FOLDER = "tensorboard"


class TensorBoard:
    """Writes a series into `tensorboard/` of its folder, one event a row.

    A series that begins anew, since its run was resumed, gets a new file with all rows, and the old one
    is emptied, so that whoever reads them finds each step once. The new one begins with the mark at
    which a TensorBoard that looks on drops what it showed. Rows of before have the time of the new file.
    """

    def __init__(self) -> None:
        self._files: dict[str, Any] = {}

    def show(self, series: str, folder: Path, update: Update) -> None:
        """Append the rows, or begin the file anew."""
        if update.anew:
            if series in self._files:
                self._files[series].close()
            self._files[series] = _begin(folder)
        for row in update.rows:
            self._files[series].write(_event(row))
        self._files[series].flush()

    def close(self, well: bool) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()


def _begin(series: Path) -> Any:
    """A new file of events in place of those that are there; it begins with the config, as a text."""
    from tensorboardX import RecordWriter
    from tensorboardX.proto.event_pb2 import Event, SessionLog
    from tensorboardX.summary import text

    folder = series / FOLDER
    folder.mkdir(exist_ok=True)
    for path in folder.glob("events.out.tfevents.*"):
        # Not deleted: a TensorBoard that has it open would wait for it, and never go on to the next.
        path.write_bytes(b"")
    # They are read in the order of their names.
    file = RecordWriter(str(folder / f"events.out.tfevents.{time.time_ns()}"))
    head = [{"file_version": "brain.Event:2"}, {"session_log": SessionLog(status=SessionLog.START)}]
    if (series / CONFIG).exists():
        lines = (series / CONFIG).read_text(encoding="utf-8").splitlines()
        # Indented as code: it is shown as Markdown.
        head.append({"summary": text("config", "\n".join(f"    {line}" for line in lines))})
    for event in head:
        file.write(Event(wall_time=time.time(), **event).SerializeToString())
    return file


def _event(row: Row) -> bytes:
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.summary_pb2 import Summary

    values = [Summary.Value(tag=name, simple_value=value) for name, value in scalars(row)]
    event = Event(wall_time=time.time(), step=step_of(row), summary=Summary(value=values))
    found: bytes = event.SerializeToString()
    return found
