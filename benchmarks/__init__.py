"""Speed and memory against their limits, and beside other programs; see docs/benchmarks.md."""
