"""What installs an optional part of trustpose. Said here alone: messages call this, a test holds docs to it."""


def install_line(extra: str) -> str:
    """The command that installs an extra of pyproject.toml. In a checkout, as trustpose is on no package index yet."""
    return f"pip install '.[{extra}]'"


def not_installed(package: str | None, extra: str) -> str:
    """What to say where a package that an extra brings is missing."""
    return f"{package} is not installed: {install_line(extra)} in a checkout of trustpose"
