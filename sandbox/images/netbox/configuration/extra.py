"""Settings that have no variable in the environment, such as dictionaries. They go before those of configuration.py.

    ADMINS = [("Ada", "ada@example.com")]
    REMOTE_AUTH_DEFAULT_PERMISSIONS = {}
"""
