"""One file is one library is one extra; each knows the core, none knows another."""
