"""Real programs that log through crlog's handlers: servers, workers, supervisors, multiprocessing, fork.

checker.py reads the log's files afterwards and says what is wrong with them; run.py starts and ends the programs, which are in
programs/. The handlers come from the module that the environment variable CRLOG_HANDLER_MODULE names (crlog if it names none), so that
concurrent_log_handler can be put to the same tests.
"""
