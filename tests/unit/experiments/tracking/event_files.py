"""A reader of TensorBoard files that is none of the writer's code, with the checksums checked."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

POLYNOMIAL = 0x82F63B78  # CRC-32C (Castagnoli), reflected: RFC 3720, B.4


def masked(data: bytes) -> int:
    """The checksum of TFRecord files: CRC-32C, turned by 15 bits, plus a constant."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (POLYNOMIAL if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def events(folder: Path) -> Iterator[Any]:
    """Every event of the files in a folder; half of one at the end of a file is left out."""
    from tensorboardX.proto.event_pb2 import Event

    for path in sorted(folder.glob("events.out.tfevents.*")):
        content = path.read_bytes()
        while len(content) >= 12:
            (length,) = struct.unpack("<Q", content[:8])
            if len(content) < length + 16:
                break
            data = content[12 : 12 + length]
            assert struct.unpack("<I", content[8:12])[0] == masked(content[:8])
            assert struct.unpack("<I", content[12 + length : 16 + length])[0] == masked(data)
            yield Event.FromString(data)
            content = content[16 + length :]


def scalars_in(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Steps and values by name, in the order of the files."""
    found: dict[str, list[tuple[int, float]]] = {}
    for event in events(folder):
        for value in event.summary.value:
            if value.WhichOneof("value") == "simple_value":
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found
