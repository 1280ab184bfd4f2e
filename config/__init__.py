"""Configuration of one installation: settings from the environment, logging, the web server."""
