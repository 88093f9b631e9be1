"""`python -m trustpose`, and the command `trustpose`: Ctrl-C is answered in one line from the first import on."""

import os
import signal


def main() -> None:
    """Run the command line."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as it is for a shell script's background jobs
        # before a command runs there is nothing to put away, and an exception may come out of an import as another one
        signal.signal(signal.SIGINT, _leave)
    from trustpose.cli import main as run

    run()


def _leave(*_: object) -> None:
    os.write(2, b"trustpose: interrupted\n")
    os._exit(130)


if __name__ == "__main__":
    main()
