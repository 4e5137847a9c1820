"""The places where Models run, each behind the entry point group ``taxiway.backends``."""
