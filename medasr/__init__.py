"""The medasr library: from samples to transcripts with medical terms. No threads, no database, no daemon."""
