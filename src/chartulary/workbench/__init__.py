"""What policy authors work with: a linter, a formatter, suites and mutants, differences between registers, skeletons."""
