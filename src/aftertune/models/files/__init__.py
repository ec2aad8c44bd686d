"""What a reference leads to: a folder, a file or a hub id, and what may be read of it."""
