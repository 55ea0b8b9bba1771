"""Benchmarks, one module each with a `main(arguments)`; see scripts/benchmark.py."""
