"""Install lines of optional parts: used by all messages, and a test compares the docs with them."""


def install_line(extra: str) -> str:
    """Return the command that installs an extra beside the installed trustpose, in quotes that all shells know."""
    return f'pip install "trustpose[{extra}]"'


def not_installed(package: str | None, extra: str) -> str:
    """Return the message for a missing package of an extra."""
    return f"{package} is not installed: {install_line(extra)}"
