"""Where trustpose and its documentation are published: messages and help give these addresses, never files."""

REPOSITORY = "https://github.com/trustpose/trustpose"
SITE = "https://trustpose.github.io/trustpose"


def page(path: str) -> str:
    """Return the address of a page of the site, such as `guides/cameras` or `evaluation#parity`."""
    name, _, heading = path.partition("#")
    return f"{SITE}/{name}.html" + (f"#{heading}" if heading else "")
