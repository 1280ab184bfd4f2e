"""Protocol files, read, checked, looked up and released; plans nothing."""
