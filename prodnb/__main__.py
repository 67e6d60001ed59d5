"""`python -m prodnb` is the command line."""

from prodnb.cli import main

main()
