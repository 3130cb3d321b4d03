"""The official files of benchmarks that `nas convert` reads, each in a separate file."""
