"""Real servers for the tests: private, on free ports, in temporary folders, ended afterwards."""
