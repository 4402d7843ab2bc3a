"""From a LogRecord to a line, through a bounded queue, to one file a process."""
