"""What `make bench` measures, on real servers. Never part of the tests: a busy machine is no bug."""
