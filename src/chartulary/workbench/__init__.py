"""What policy authors work with: a linter, a formatter, suites and mutants, differences, skeletons, watching."""
