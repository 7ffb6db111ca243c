"""Mutations: of bytes, of values that JSON can hold, and of the parts of a safetensors file."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from random import Random
from typing import Any

INTEGERS = (0, 1, -1, 2, 7, 255, 256, 65535, 2**31 - 1, -(2**31), 2**32, 2**53, 2**63 - 1, -(2**63), 10**30)
FLOATS = (0.0, -0.0, 0.5, 1e-320, 1e9, -1e9, 1e30, 1e308, -1e308, math.inf, -math.inf, math.nan)
TEXTS = (
    "",
    " ",
    "a",
    "\0",
    "../../x",
    "/etc/passwd",
    "C:\\Windows\\x",
    "..\\..\\x",
    "CON",
    "a/b",
    "\ud800",
    "Fran\udce7ois",
    "\u202egpj.exe",
    "日" * 100,
    "x" * 3000,
    "x\ny",
    "\x1b[31mred",
    "NaN",
    "1e999",
    "9" * 400,
    "9" * 5000,
    "%s%n{0}{x.__class__}",
    "[" * 50000,
    '{"a":' * 20000,
)


def any_value(random: Random, depth: int = 0) -> Any:
    """Return a value of any type that JSON can hold, mostly an extreme one."""
    kind = random.randrange(7 if depth < 2 else 5)
    if kind == 0:
        return random.choice(INTEGERS)
    if kind == 1:
        return random.choice(FLOATS)
    if kind == 2:
        return random.choice(TEXTS)
    if kind == 3:
        return random.choice((None, True, False))
    if kind == 4:
        return random.uniform(-10, 10)
    if kind == 5:
        return [any_value(random, depth + 1) for _ in range(random.randrange(4))]
    return {random.choice(TEXTS): any_value(random, depth + 1) for _ in range(random.randrange(3))}


def near(random: Random, value: Any) -> Any:
    """Return a value of the same type, changed."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return random.choice((value + 1, value - 1, -value, value * 2, value * 1000, random.choice(INTEGERS)))
    if isinstance(value, float):
        return random.choice((-value, value * 1e3, value / 7, random.choice(FLOATS)))
    if isinstance(value, str):
        return text(random, value)
    if isinstance(value, list) and value:
        copy = list(value)
        spot = random.randrange(len(copy))
        change = random.randrange(4)
        if change == 0:
            del copy[spot]
        elif change == 1:
            copy = copy * random.choice((2, 3, 300))
        elif change == 2:
            copy.insert(spot, any_value(random))
        else:
            copy[spot] = near(random, copy[spot])
        return copy
    return any_value(random)


def tree(random: Random, value: Any) -> Any:
    """Change one place of nested lists and objects; the rest stays."""
    if isinstance(value, dict) and value and random.random() < 0.9:
        copy = dict(value)
        key = random.choice(sorted(copy))
        change = random.random()
        if change < 0.08:
            del copy[key]
        elif change < 0.14:
            copy[random.choice(TEXTS)] = copy.pop(key)
        else:
            copy[key] = tree(random, copy[key])
        return copy
    if isinstance(value, list) and value and random.random() < 0.6:
        copy_list = list(value)
        spot = random.randrange(len(copy_list))
        copy_list[spot] = tree(random, copy_list[spot])
        return copy_list
    return near(random, value) if random.random() < 0.6 else any_value(random)


def text(random: Random, value: str) -> str:
    """Change a text: cut, repeat, insert, or replace it."""
    change = random.randrange(5)
    if change == 0 or not value:
        return random.choice(TEXTS)
    spot = random.randrange(len(value))
    if change == 1:
        return value[:spot]
    if change == 2:
        return value[:spot] + random.choice(TEXTS) + value[spot:]
    if change == 3:
        return value * random.choice((2, 50))
    return value[:spot] + chr(random.choice((0, 10, 34, 44, 58, 123, 0x661, 0xD7FF))) + value[spot + 1 :]


def data(random: Random, value: bytes, others: Sequence[bytes] = ()) -> bytes:
    """Change bytes: one to four of flips, numbers set, cuts, repeats, and splices with another input."""
    copy = bytearray(value)
    for _ in range(random.choice((1, 1, 2, 4))):
        change = random.randrange(8)
        # Headers are at the start, and most of what can be said wrongly is said there.
        reach = len(copy) if random.random() < 0.5 else min(len(copy), 128)
        spot = random.randrange(reach) if reach else 0
        if change == 0 and copy:
            copy[spot] ^= 1 << random.randrange(8)
        elif change == 1 and copy:
            copy[spot] = random.choice((0, 1, 127, 128, 255, random.randrange(256)))
        elif change == 2:
            size, order = random.choice("HIQ"), random.choice("<>")
            number = struct.pack(order + size, random.choice(INTEGERS) % 2 ** (8 * struct.calcsize(size)))
            copy[spot : spot + len(number)] = number
        elif change == 3:
            del copy[spot:]
        elif change == 4:
            del copy[spot : spot + random.randrange(1, 64)]
        elif change == 5:
            copy[spot:spot] = copy[spot : spot + random.randrange(1, 256)] * random.choice((1, 2, 16))
        elif change == 6:
            copy[spot:spot] = random.randbytes(random.randrange(1, 32))
        elif others:
            other = random.choice(others)
            cut = random.randrange(len(other)) if other else 0
            copy[spot:] = other[cut:]
    return bytes(copy)


# safetensors ------------------------------------------------------------------------------------------------


def parse_safetensors(value: bytes) -> tuple[dict[str, Any], bytes]:
    """Return header and body of a safetensors file."""
    size = int.from_bytes(value[:8], "little")
    return json.loads(value[8 : 8 + size]), value[8 + size :]


def build_safetensors(header: Any, body: bytes) -> bytes:
    """Return a safetensors file with any header."""
    raw = json.dumps(header).encode()
    raw += b" " * (-len(raw) % 8)
    return len(raw).to_bytes(8, "little") + raw + body


def safetensors(random: Random, value: bytes) -> bytes:
    """Change a safetensors file: metadata (and the JSON inside), entries, values, or plain bytes."""
    if random.random() < 0.15:
        return data(random, value)
    try:
        header, body = parse_safetensors(value)
    except ValueError:
        return data(random, value)
    for _ in range(random.choice((1, 1, 1, 2))):
        kind = random.random()
        metadata = header.get("__metadata__")
        if kind < 0.5 and isinstance(metadata, dict) and metadata:
            _change_metadata(random, metadata)
        elif kind < 0.75:
            names = [name for name in header if name != "__metadata__"]
            if names:
                header, body = _change_entry(random, header, body, random.choice(names))
        else:
            body = _change_values(random, header, body)
    return build_safetensors(header, body)


def _change_metadata(random: Random, metadata: dict[str, Any]) -> None:
    key = random.choice(sorted(metadata))
    try:
        inner = json.loads(metadata[key])
    except (ValueError, TypeError, RecursionError):
        inner = None
    change = random.random()
    if isinstance(inner, dict | list) and change < 0.8:
        metadata[key] = json.dumps(tree(random, inner))
    elif change < 0.9:
        metadata[key] = text(random, str(metadata[key]))
    else:
        del metadata[key]


def _change_entry(
    random: Random, header: dict[str, Any], body: bytes, name: str
) -> tuple[dict[str, Any], bytes]:
    entry = dict(header[name])
    change = random.randrange(6)
    header = dict(header)
    if change == 0:
        del header[name]
        return header, body
    if change == 1:
        header[random.choice((*TEXTS[:12], f"{name}.99999999", "layers.99999999.0"))] = header.pop(name)
        return header, body
    if change == 2:  # the same bytes in another shape, still a valid file
        count = math.prod(entry["shape"])
        entry["shape"] = random.choice(([count], [1, count], [count, 1], [1] * 5 + [count], [1, 1, count]))
    elif change == 3:
        same = {"F32": ("I32", "U32"), "F16": ("BF16", "I16"), "I64": ("F64",), "BF16": ("F16",)}
        entry["dtype"] = random.choice((*same.get(entry["dtype"], ()), "U8", "BOOL", "C64", "F8_E4M3"))
        if random.random() < 0.7:
            width = {"U8": 1, "BOOL": 1, "F8_E4M3": 1, "I16": 2, "BF16": 2, "F16": 2, "C64": 8, "F64": 8}
            begin, end = entry["data_offsets"]
            entry["shape"] = [(end - begin) // width.get(entry["dtype"], 4)]
    else:
        part = random.choice(sorted(entry))
        entry[part] = tree(random, entry[part])
    header[name] = entry
    return header, body


def _change_values(random: Random, header: dict[str, Any], body: bytes) -> bytes:
    entries = [e for n, e in header.items() if n != "__metadata__" and isinstance(e, dict)]
    places = [e.get("data_offsets") for e in entries if e.get("dtype") == "F32"]
    places = [place for place in places if isinstance(place, list) and len(place) == 2]
    if not places:
        return data(random, body)
    begin, end = random.choice(places)
    if not (isinstance(begin, int) and isinstance(end, int) and 0 <= begin < end <= len(body)):
        return body
    number = struct.pack("<f", random.choice((math.nan, math.inf, -math.inf, 1e30, -1e9, 0.0, 3.4e38)))
    count = (end - begin) // 4
    rows = range(count) if random.random() < 0.4 else random.sample(range(count), min(count, 3))
    copy = bytearray(body)
    for row in rows:
        copy[begin + 4 * row : begin + 4 * row + 4] = number
    return bytes(copy)
