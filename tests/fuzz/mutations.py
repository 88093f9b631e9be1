"""Seeded mutations of files: of their bytes, of the JSON, arrays, tensors or graph in them."""

import io
import json
import re
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.fuzz.value_mutations import changed_value, with_other_numbers

Mutation = Callable[[bytes, np.random.Generator], bytes]
_NUMBERS = (
    "-1",
    "0",
    "-3",
    "1",
    "1.5",
    "1e9",
    "65537",
    "2147483647",
    "2147483648",
    "-2147483648",
    "4294967295",
    "18446744073709551616",
    "1e308",
    "-1e308",
    "1e-320",
    "nan",
    ".Nan",
    "-.Inf",
    "x",
    "",
    "3 3",
    "9" * 400,
)
_TOKENS = ("NaN", "Infinity", "-Infinity", "9" * 100_000, "1e400", "-0", "01", '"\\ud800"', "[" * 2000, "nul", "/*x*/")


def mutate_bytes(content: bytes, random: np.random.Generator) -> bytes:
    """One to four changes of bytes: other bytes, a piece cut out, doubled, zeroed, moved, put in, or the end gone."""
    found = bytearray(content)
    for _ in range(random.integers(1, 5)):
        size = len(found)
        index = int(random.integers(0, max(size, 1)))
        if random.random() < 0.3:  # near the start, where headers are
            index = int(random.integers(0, min(size, 256) + 1))
        length = int(2 ** random.uniform(0, np.log2(max(size, 2))))
        piece = found[index : index + length]
        kind = random.integers(0, 9)
        if kind <= 2:
            for integer in random.integers(0, max(size, 1), random.integers(1, 6)):
                if size:
                    found[integer] = random.choice([0, 255, 127, 128, random.integers(256)])
        elif kind == 3:
            del found[index : index + length]
        elif kind == 4:
            found[index:index] = piece[:100_000]
        elif kind == 5:
            found[index : index + length] = bytes(len(piece))
        elif kind == 6:
            found[index:index] = random.bytes(int(random.integers(1, 64)))
        elif kind == 7:
            value = int(random.choice([0, 1, 2**16 - 1, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**50]))
            found[index : index + 8] = value.to_bytes(8, random.choice(["little", "big"]))
        else:
            del found[index:]
    return bytes(found)


def mutate_json(content: bytes, random: np.random.Generator) -> bytes:
    """One to three nodes of a JSON value replaced, removed, doubled, renamed or swapped; or a token of its text."""
    if random.random() < 0.15:
        return mutate_bytes(content, random)
    value = json.loads(content)
    value = with_other_numbers(value, random) if random.random() < 0.4 else changed_value(value, random)
    text = json.dumps(value)
    if random.random() < 0.15:
        spots = [match.span() for match in re.finditer(r"-?\d+(\.\d+)?|true|null", text)]
        if spots:
            start, end = spots[random.integers(len(spots))]
            text = text[:start] + str(random.choice(_TOKENS)) + text[end:]
    return text.encode("utf-8", "surrogatepass")


def mutate_lines(content: bytes, random: np.random.Generator) -> bytes:
    """Fields of a text table replaced, removed or doubled; or rows."""
    if random.random() < 0.15:
        return mutate_bytes(content, random)
    lines = content.decode().split("\n")
    for _ in range(random.integers(1, 4)):
        index = int(random.integers(len(lines)))
        parts = re.split(r"([ ,])", lines[index])
        place = int(random.integers(len(parts)))
        kind = random.integers(0, 6)
        if kind <= 2:
            parts[place] = str(random.choice(["", "nan", "inf", "-inf", "1e308", "x", "-1", "9" * 30, '"', "\t", "ü"]))
        elif kind == 3:
            del parts[place]
        elif kind == 4:
            parts[place:place] = parts[place : place + 5]
        else:
            lines[index:index] = lines[: int(random.integers(1, 4))]
            continue
        lines[index] = "".join(parts)
    return "\n".join(lines).encode()


def mutate_numbers(content: bytes, random: np.random.Generator) -> bytes:
    """One to three numbers of a text replaced by others: negative, huge, fractions, none, or the last one again."""
    if random.random() < 0.1:
        return mutate_bytes(content, random)
    spots = [match.span() for match in re.finditer(rb"(?<![\w.])-?\d+\.?\d*(?:[eE][-+]?\d+)?", content)]
    for _ in range(random.integers(1, 4)):
        start, end = spots[random.integers(len(spots))]
        number = str(random.choice(_NUMBERS)).encode()
        content = content[:start] + number.ljust(end - start) + content[end:]
    return content


def mutate_journal(content: bytes, random: np.random.Generator) -> bytes:
    """A line's JSON changed, under a checksum that is right again."""
    lines = content.splitlines()
    if random.random() < 0.3 or not lines:
        return mutate_bytes(content, random)
    index = int(random.integers(len(lines)))
    changed = mutate_json(lines[index][9:], random)
    lines[index] = b"%08x %b" % (zlib.crc32(changed), changed)
    return b"\n".join(lines) + b"\n"


def mutate_npz(content: bytes, random: np.random.Generator) -> bytes:
    """An array of an NPZ file replaced, removed, renamed, of another shape or kind; or its card's JSON changed."""
    if random.random() < 0.25:
        return mutate_bytes(content, random)
    with np.load(io.BytesIO(content)) as file:
        arrays = {name: file[name] for name in file.files}
    for _ in range(random.integers(1, 3)):
        name = str(random.choice(list(arrays)))
        array = arrays[name]
        kind = random.integers(0, 8)
        if name == "card" and kind < 6:
            arrays[name] = np.frombuffer(mutate_json(array.tobytes(), random), np.uint8)
        elif kind == 0:
            del arrays[name]
        elif kind == 1:
            arrays[name + "x"] = arrays.pop(name)
        elif kind <= 5:
            arrays[name] = _other_array(array, random)
        else:
            arrays[name] = arrays[str(random.choice(list(arrays)))]
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    if random.random() < 0.2:
        return _other_npy_header(file.getvalue(), random)
    return file.getvalue()


def mutate_checkpoint(content: bytes, random: np.random.Generator) -> bytes:
    """A value of a torch file's content replaced or removed: tensors of other shapes and kinds among them."""
    import torch

    if random.random() < 0.3:
        return mutate_bytes(content, random)
    value = torch.load(io.BytesIO(content), weights_only=True)
    odd: tuple[Any, ...] = (
        torch.zeros(0),
        torch.zeros(3, dtype=torch.complex64),
        torch.full((2, 2), torch.nan),
        torch.zeros(1).expand(10**7),
        torch.eye(3).to_sparse(),
        torch.zeros(2, dtype=torch.bool),
    )
    file = io.BytesIO()
    torch.save(changed_value(value, random, odd), file)
    return file.getvalue()


def mutate_onnx(content: bytes, random: np.random.Generator) -> bytes:
    """A graph's nodes, attributes, weights and shapes changed; or its bytes."""
    import onnx

    if random.random() < 0.5:
        return mutate_bytes(content, random)
    model = onnx.load_model_from_string(content)
    graph = model.graph
    for _ in range(random.integers(1, 3)):
        kind = random.integers(0, 7)
        node = graph.node[random.integers(len(graph.node))]
        number = int(random.choice([-1, 0, 1, 3, 1000, 2**31, 2**40, 2**62]))
        if kind == 0:
            node.op_type = str(
                random.choice(["Add", "Relu", "Reshape", "Loop", "Tile", "ConstantOfShape", "Einsum", "Nope"])
            )
        elif kind == 1 and node.attribute:
            attribute = node.attribute[random.integers(len(node.attribute))]
            attribute.i = number
            attribute.ints[:] = [number] * len(attribute.ints)
        elif kind == 2 and graph.initializer:
            tensor = graph.initializer[random.integers(len(graph.initializer))]
            if tensor.dims:
                tensor.dims[random.integers(len(tensor.dims))] = number
        elif kind == 3 and graph.initializer:
            graph.initializer[random.integers(len(graph.initializer))].data_type = int(random.integers(0, 25))
        elif kind == 4:
            value = (*graph.input, *graph.output)[random.integers(len(graph.input) + len(graph.output))]
            shape = value.type.tensor_type.shape.dim
            if shape:
                shape[random.integers(len(shape))].dim_value = number
        elif kind == 5 and graph.initializer:  # weights in another file
            tensor = graph.initializer[random.integers(len(graph.initializer))]
            tensor.data_location = onnx.TensorProto.EXTERNAL
            tensor.ClearField("raw_data")
            for key, text in (("location", random.choice(["../x", "/dev/zero", "none.bin"])), ("length", str(number))):
                tensor.external_data.add(key=key, value=str(text))
        else:
            model.opset_import[0].version = int(random.choice([0, 1, 7, 99, 2**40]))
    return model.SerializeToString()


def _other_array(array: np.ndarray, random: np.random.Generator) -> np.ndarray:
    kind = random.integers(0, 9)
    if kind == 0:
        return array[: len(array) // 2] if array.ndim else np.zeros(3)
    if kind == 1:
        return array[None]
    if kind == 2:
        return array.ravel()[::-1]
    if kind == 3:
        return np.zeros(0)
    if array.dtype.kind not in "iuf" or not array.size:
        return np.zeros(array.shape) if kind < 6 else np.array(["", "x" * 1000])
    if kind == 4:
        return array.astype(complex)
    if kind == 5:
        return array.astype(str(random.choice(["f2", "f4", "f8", "i1", "i8", "u8", "U5", "?"])))
    changed = np.array(array, dtype=np.float64, ndmin=1)
    value = float(random.choice([np.nan, np.inf, -np.inf, 1e308, -1e308, 1e-320, -1, 1e20]))
    changed.ravel()[random.integers(0, max(changed.size, 1), random.integers(1, 4)) % max(changed.size, 1)] = value
    return changed.reshape(array.shape) if kind < 8 else changed


def _other_npy_header(content: bytes, random: np.random.Generator) -> bytes:
    """The zip with the text of one array's header changed, its checksum right again."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        names = old.namelist()
        chosen = names[random.integers(len(names))]
        for name in names:
            body = old.read(name)
            if name == chosen:
                shape = str(
                    random.choice([f"({2**47},)", "(-1,)", "()", "(1, 2)", "('a',)", "(1e9,)", "((((((1,),),),),),)"])
                )
                body = re.sub(rb"'shape': \([^)]*\)", f"'shape': {shape}".encode(), body, count=1)
            new.writestr(name, body)
    return file.getvalue()
