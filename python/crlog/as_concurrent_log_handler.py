"""Importing this module does :func:`crlog.install_as_concurrent_log_handler`."""

from .alias import install_as_concurrent_log_handler

install_as_concurrent_log_handler()
