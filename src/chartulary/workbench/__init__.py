"""What policy authors work with: linter, formatter, suites and mutants, differences, skeletons, watching."""
