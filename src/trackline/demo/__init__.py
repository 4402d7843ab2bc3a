"""`trackline demo`: three real services, ten real requests through them, and the story of each, found again in the log files."""
