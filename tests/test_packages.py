"""Every package says what it is for, and which of its files to read first."""

import ast
import re
from pathlib import Path

import pytest

import trustpose

PACKAGES = sorted(path.parent for path in Path(trustpose.__path__[0]).glob("*/__init__.py"))


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_package_says_what_it_is_for_and_which_file_to_read_first(package):
    text = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
    first = re.search(r"Read\s+`([a-z_0-9/]+\.py)`(?:\s+and\s+`[a-z_0-9/]+\.py`)?\s+first", text)
    assert text.count(".") >= 3 and first is not None, text
    assert (package / first[1]).is_file(), first[1]
    assert all((package / name).exists() for name in re.findall(r"`([a-z_0-9/]+(?:\.py|/))`", text)), text
