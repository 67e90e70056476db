"""Named, versioned text normalizers: what counts as the same text."""
