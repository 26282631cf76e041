"""``chartulary serve``: an API for programs, a SPARQL endpoint for analysts, and pages for everyone."""
