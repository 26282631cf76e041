"""What policy authors work with."""
