"""A file that is edited while the development server runs."""

VERSION = 1
