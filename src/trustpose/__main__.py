"""`python -m trustpose`, and the command `trustpose`: handles Ctrl-C in one line from the first import on."""

import os
import signal


def main() -> None:
    """Run the command line."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as in a shell script's background jobs
        # before a command runs there is nothing to clean up, and imports may turn the exception into another one
        signal.signal(signal.SIGINT, _leave)
    from trustpose.cli import main as run

    run()


def _leave(*_: object) -> None:
    os.write(2, b"trustpose: interrupted\n")
    os._exit(130)


if __name__ == "__main__":
    main()
