"""Lets ``python -m chartulary`` do what ``chartulary`` does."""

from chartulary.cli import main

main()
