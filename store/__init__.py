"""THE MEMORY: the journal and the tape."""
