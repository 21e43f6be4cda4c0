"""Where log messages go and which ones: https://docs.djangoproject.com/en/stable/topics/logging/

    LOGGING = {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"console": {"class": "logging.StreamHandler"}},
        "root": {"handlers": ["console"], "level": "INFO"},
    }
"""
