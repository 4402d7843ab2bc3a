"""`trackline demo`: three real services, and the stories of real requests through them."""
