"""From SPARQL rules to programs: read into one normal form, ordered for a snapshot, written as Python or as SQL."""
