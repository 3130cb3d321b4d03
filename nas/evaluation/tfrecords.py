"""Files of TensorFlow, read without it: TFRecord, and the binary form of protocol buffers.

Sources: tensorflow.org/tutorials/load_data/tfrecord, "TFRecords format details"; protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import unpack, unpack_from
from typing import IO

LARGEST = 1 << 26
"""The most bytes of a record, so that a damaged length asks for no memory."""


def records(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the records of a TFRecord file.

    The checksum of each length is compared, not that of the content, which is long and has a form of its own. Raises ValueError
    where the file is truncated, or is no TFRecord file.
    """
    while head := file.read(12):
        if len(head) < 12:
            raise ValueError("it is truncated")
        size, checksum = unpack("<QI", head)
        if checksum != masked_crc32c(head[:8]) or size > LARGEST:
            raise ValueError("it is no TFRecord file, or damaged: the checksum of a length is wrong")
        body = file.read(size + 4)
        if len(body) < size + 4:
            raise ValueError("it is truncated")
        yield body[:size]


def _crc32c_table() -> list[int]:
    table = []
    for each in range(256):
        for _ in range(8):
            each = each >> 1 ^ (0x82F63B78 if each & 1 else 0)
        table.append(each)
    return table


_CRC32C = _crc32c_table()


def masked_crc32c(data: bytes) -> int:
    """Return the checksum that TFRecord stores: CRC-32C, rotated by 15 bits, plus a constant."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC32C[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def fields_of(message: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """Yield the number and the value of each field of a message; texts and inner messages are bytes.

    Raises ValueError where it ends within a field.
    """
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        value: int | float | bytes
        if kind == 0:
            value, at = _varint(message, at)
        elif kind == 2:
            size, at = _varint(message, at)
            value, at = message[at : at + size], at + size
        elif kind in (1, 5):
            form, size = ("<d", 8) if kind == 1 else ("<f", 4)
            value, at = unpack_from(form, message.ljust(at + size, b"\0"), at)[0], at + size
        else:
            raise ValueError(f"a field of the unknown kind {kind}")
        if at > len(message):
            raise ValueError("a message ends within a field")
        yield tag >> 3, value


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, and where it ends."""
    value = shift = 0
    while at < len(message) and shift < 64:
        byte = message[at]
        value, shift, at = value | (byte & 0x7F) << shift, shift + 7, at + 1
        if byte < 0x80:
            return value, at
    raise ValueError("a message ends within a field")
