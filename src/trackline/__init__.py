"""One tracking ID for every request: in the response, in every log line, in the trace, in every call to the next service."""
