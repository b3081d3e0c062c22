"""Starts as any program does, and says so: with that record the log is opened, and what killed processes left is in the file then."""

import logging
import logging.config

import handler

logging.config.dictConfig(handler.config())
logging.getLogger().info("started")
