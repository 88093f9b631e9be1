"""`python -m trustpose`, and the command `trustpose`: Ctrl-C and SIGTERM end it with one line from the start."""

import os
import signal


def main() -> None:
    """Run the command line."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as in a shell script's background jobs
            # before a command runs there is nothing to clean up, and imports may turn the exception into another one
            signal.signal(number, _leave)
    from trustpose.cli import main as run

    run()


def _leave(number: int, _: object) -> None:
    os.write(2, b"trustpose: interrupted\n")
    os._exit(128 + number)


if __name__ == "__main__":
    main()
