"""The benchmarks of `make bench`, on real servers. They are no tests: a busy machine is not a defect."""
