"""What people copy from examples/, run for real."""
