"""Word and character error rates, medical term accuracy, and how sure they are."""
