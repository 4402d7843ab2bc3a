"""What an Elasticsearch needs to know before log lines come: compared with what is there, shown, installed, verified."""
