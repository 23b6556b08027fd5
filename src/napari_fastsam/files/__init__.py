"""Images in, labels out: what is a file of which kind, and where does it go."""
