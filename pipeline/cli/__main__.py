"""`python -m pipeline.cli`: the same as `headrace`."""

from pipeline.cli.app import main

main()
