"""`python -m trustpose`."""

from trustpose.cli import main

main()
