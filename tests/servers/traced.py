def make_apps():
    return {}
