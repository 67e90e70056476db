"""The service: files, queue, clock and store around the medasr library. No model arithmetic."""
