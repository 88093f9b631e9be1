"""Modules of ours are imported inside functions only where that saves the time of a slow library or an extra."""

import ast
import subprocess
import sys
from functools import cache

from tests.test_import_circles import MODULES, imports, trees

# packages outside the standard library that take milliseconds, and parts of the standard library that do
SLOW_STANDARD = {"asyncio", "concurrent", "email", "http", "multiprocessing", "ssl", "tarfile", "urllib", "xml"}
ALLOWED = {
    ("trustpose", "names"),  # the face: `import trustpose` loads nothing else
    *(("trustpose.poses.display", module) for module in ("io.read_poses", "geometry.expected_error")),
    *(("trustpose.poses.display", module) for module in ("report.poses_output",)),
    *(("trustpose.evaluation.display", module) for module in ("report.page", "report.poses_output")),
}
"""Methods of records that read, write or draw: what the layer check lists as exceptions."""


@cache
def top_level(name: str) -> set[str]:
    """What a module imports when it is imported."""
    return set(imports(trees()[name].body, for_types=False))


@cache
def loaded_by(name: str) -> set[str]:
    """Modules that the import of one loads, with the packages that they lie in."""
    loaded: set[str] = set()
    waiting = [name]
    while waiting:
        module = waiting.pop()
        if module not in loaded and module in MODULES:
            loaded.add(module)
            parts = module.split(".")
            waiting += [*top_level(module), *(".".join(parts[:count]) for count in range(1, len(parts)))]
    return loaded


@cache
def slow_libraries(name: str) -> set[str]:
    """Slow libraries that the import of a module loads."""
    libraries = {target.split(".")[0] for module in loaded_by(name) for target in top_level(module)}
    return {
        library
        for library in libraries - {"trustpose"}
        if library not in sys.stdlib_module_names or library in SLOW_STANDARD
    }


def test_imports_inside_functions_save_a_slow_library() -> None:
    needless = []
    for name, tree in trees().items():
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        own = slow_libraries(name)
        for function in functions:
            for statement in ast.walk(function):
                if not isinstance(statement, ast.ImportFrom):
                    continue
                for target in set(imports([statement], for_types=False)) & set(MODULES):
                    is_listed = (name, target.removeprefix("trustpose.")) in ALLOWED
                    if not is_listed and not slow_libraries(target) - own and name not in loaded_by(target):
                        needless.append(f"{name}:{statement.lineno}: {target}")
    assert needless == []


def test_help_and_prediction_leave_rare_libraries_alone() -> None:
    heavy = "{'scipy', 'numpy', 'cv2', 'onnxruntime', 'matplotlib', 'lightgbm', 'jaxtyping'}"
    rare = "{'scipy', 'numpy.f2py', 'numpy.testing', 'matplotlib', 'lightgbm', 'pandas', 'pyarrow', 'torch'}"
    for code, unwanted in (
        ("from trustpose.cli import main; import trustpose.cli.predict", heavy),
        ("import trustpose as tp; tp.load('default')(numpy.zeros((64, 64, 3), numpy.uint8))", rare),
    ):
        imported = "import sys" + (", numpy; " if "numpy" in code else "; ")
        line = f"{imported}{code}; print(*({unwanted} & set(sys.modules)))"
        done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
        assert done.stdout.split() == [], code
