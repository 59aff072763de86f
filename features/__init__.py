"""Features: declared by the user, compiled into kernels, kept in per-entity state."""
