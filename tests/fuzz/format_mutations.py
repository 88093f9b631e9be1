"""Seeded mutations of HDF5, of pickles in NPZ files, of XML and of videos: of what their tables and headers say."""

import io
import re
import zipfile

import numpy as np

from tests.fuzz.mutations import mutate_bytes, mutate_json

_TEXTS = ("", "nan", "inf", "1e308", "-1", "9" * 5000, "x", "1,2,3", "&amp;", "ü", "/", "1e5", "0", "1;2")


def mutate_hdf5(content: bytes, random: np.random.Generator) -> bytes:
    """Bytes that are not 0 replaced; or a dataset removed, shortened, emptied, of another shape, huge, of odd numbers;
    or the attributes of a group or a dataset."""
    import h5py

    if random.random() < 0.6:
        changed = bytearray(content)
        for position in random.choice(np.flatnonzero(np.frombuffer(content, np.uint8)), random.integers(1, 20)):
            changed[position] = random.integers(256)
        return bytes(changed)
    file = io.BytesIO(content)
    with h5py.File(file, "r+") as opened:
        names: list[str] = []
        opened.visit(names.append)
        name = str(random.choice(sorted(names)))
        node = opened[name]
        if isinstance(node, h5py.Dataset) and random.random() < 0.8:
            _change_dataset(opened, name, random)
        elif random.random() < 0.2:
            del opened[name]
        else:
            _change_attributes(node, random)
    return file.getvalue()


def _change_dataset(file, name: str, random: np.random.Generator) -> None:
    attributes, value = dict(file[name].attrs), file[name][()]
    del file[name]
    kind = random.integers(0, 7)
    if kind == 0:
        return
    if kind == 1:
        file.create_dataset(name, (2**40,), "<f8", chunks=(1024,))
    else:
        file[name] = _other_values(value, int(kind), random)
    file[name].attrs.update(attributes)


def _other_values(value: np.ndarray, kind: int, random: np.random.Generator) -> np.ndarray:
    if kind == 2:
        return value[: len(value) // 2] if value.ndim else value
    if kind == 3:
        return np.zeros((0,) * max(1, value.ndim))
    if kind == 4:
        return random.uniform(size=(2,) * random.integers(0, 5))
    column = value
    if value.dtype.names:
        column = value[str(random.choice(value.dtype.names))]
    if column.size and column.dtype.kind in "iuf":
        numbers = (0, 1, 127) if column.dtype.kind in "iu" else (np.inf, -np.inf, np.nan, 1e308, -1.0)
        column[(slice(None),) if kind == 5 else tuple(random.integers(column.shape))] = random.choice(numbers)
    return value


def _change_attributes(node, random: np.random.Generator) -> None:
    for name, value in dict(node.attrs).items():
        if isinstance(value, bytes) and value[:1] in b"{[" and len(value):
            node.attrs[name] = np.bytes_(mutate_json(value, random)[:60_000] or b"x")
        elif isinstance(value, bytes) and random.random() < 0.5:
            node.attrs[name] = np.bytes_(mutate_bytes(value, random)[:60_000] or b"x")
        else:
            node.attrs[name] = random.choice([-1.0, np.nan, np.inf, 0, 1e300])


def mutate_pickles(content: bytes, random: np.random.Generator) -> bytes:
    """The pickles in an NPZ file with other bytes, their checksums right again: anywhere, or among their first
    instructions."""
    if random.random() < 0.2:
        return mutate_bytes(content, random)
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            body = bytearray(old.read(name))
            if random.random() < 0.4:
                body = bytearray(mutate_bytes(bytes(body), random))
            else:
                for position in random.integers(100, min(len(body), 3000), random.integers(1, 4)):
                    body[position] = random.integers(256)
            new.writestr(zipfile.ZipInfo(name), bytes(body))
    return file.getvalue()


def mutate_xml(content: bytes, random: np.random.Generator) -> bytes:
    """One to three attributes of elements replaced; an element removed or doubled; or bytes."""
    if random.random() < 0.3:
        return mutate_bytes(content, random)
    text = content.decode()
    for _ in range(random.integers(1, 4)):
        is_element = random.random() < 0.3
        pattern = r"<[^?!/][^>]*>" if is_element else r'"([^"]*)"'
        spans = [match.span(0 if is_element else 1) for match in re.finditer(pattern, text)]
        if not spans:
            break
        start, end = spans[random.integers(len(spans))]
        replacement = text[start:end] * int(random.choice([0, 2])) if is_element else str(random.choice(_TEXTS))
        text = text[:start] + replacement + text[end:]
    return text.encode()


def mutate_video(content: bytes, random: np.random.Generator) -> bytes:
    """Bytes of a video's tables replaced (from `moov` on, or of the first 1,500 and the last 500), or its title by
    bytes that are not UTF-8; or bytes of all of it."""
    kind = random.random()
    if kind < 0.3:
        return mutate_bytes(content, random)
    changed = bytearray(content)
    title = content.find(b"fuzzed title")
    if kind < 0.4 and title >= 0:
        changed[title : title + 12] = random.bytes(12)
        return bytes(changed)
    tables = content.find(b"moov")
    positions = np.arange(len(content))
    if tables >= 0:
        positions = positions[tables:]
    elif len(content) > 2000:
        positions = np.r_[positions[:1500], positions[-500:]]
    for position in random.choice(positions, random.integers(1, 6)):
        changed[position] = random.choice([0, 255, 127, 128, random.integers(256)])
    return bytes(changed)
