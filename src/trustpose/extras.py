"""Install lines of optional parts: used by all messages, and a test compares the docs with them."""


def install_line(extra: str) -> str:
    """Return the command that installs an extra of pyproject.toml, in a checkout, as there is no package index yet."""
    return f"pip install '.[{extra}]'"


def not_installed(package: str | None, extra: str) -> str:
    """Return the message for a missing package of an extra."""
    return f"{package} is not installed: {install_line(extra)} in a checkout of trustpose"
