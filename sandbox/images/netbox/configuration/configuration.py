"""NetBox's settings out of the environment, by the variables that netbox-docker documents; see env/netbox.env.
Secrets in /run/secrets go before variables of the same name. Leave this file as it is, and set what has no variable
in extra.py: https://netboxlabs.com/docs/netbox/configuration/"""

import re
from os import environ


def _secret(name, default=""):
    try:
        with open(f"/run/secrets/{name}", encoding="utf-8") as file:
            return file.readline().strip()
    except OSError:
        return environ.get(name.upper(), default)


def _bool(text):
    return text.lower() == "true"


def _list(text):
    return text.split()


def _get(name, kind=str, default=None):
    """A variable as a value of that kind; where it is not set, the default, as text or as it is."""
    text = environ.get(name, default)
    return kind(text) if isinstance(text, str) else text


# What NetBox needs

ALLOWED_HOSTS = _get("ALLOWED_HOSTS", _list, "*")
# The health check asks localhost.
if "*" not in ALLOWED_HOSTS and "localhost" not in ALLOWED_HOSTS:
    ALLOWED_HOSTS.append("localhost")

DATABASES = {
    "default": {
        "NAME": _get("DB_NAME", default="netbox"),
        "USER": _get("DB_USER", default=""),
        "PASSWORD": _secret("db_password"),
        "HOST": _get("DB_HOST", default="localhost"),
        "PORT": _get("DB_PORT", default=""),
        "OPTIONS": {"sslmode": _get("DB_SSLMODE", default="prefer")},
        "CONN_MAX_AGE": _get("DB_CONN_MAX_AGE", int, "300"),
        "DISABLE_SERVER_SIDE_CURSORS": _get("DB_DISABLE_SERVER_SIDE_CURSORS", _bool, "false"),
    }
}


def _redis(prefix, fallback, database):
    """One of the two connections; what has no variable of its own is the other one's."""

    def get(name, kind=str, default=""):
        return _get(f"{prefix}_{name}", kind, environ.get(f"{fallback}_{name}", default))

    return {
        "HOST": get("HOST", default="localhost"),
        "PORT": get("PORT", int, "6379"),
        "SENTINELS": [tuple(each.split(":")) for each in get("SENTINELS", _list)],
        "SENTINEL_SERVICE": get("SENTINEL_SERVICE", default="default"),
        "SENTINEL_TIMEOUT": get("SENTINEL_TIMEOUT", int, "10"),
        "USERNAME": get("USERNAME"),
        "PASSWORD": _secret(f"{prefix.lower()}_password", _secret(f"{fallback.lower()}_password")),
        "DATABASE": _get(f"{prefix}_DATABASE", int, database),
        "SSL": get("SSL", _bool, "false"),
        "INSECURE_SKIP_TLS_VERIFY": get("INSECURE_SKIP_TLS_VERIFY", _bool, "false"),
    }


REDIS = {"tasks": _redis("REDIS", "REDIS", "0"), "caching": _redis("REDIS_CACHE", "REDIS", "1")}

SECRET_KEY = _secret("secret_key")

# API_TOKEN_PEPPER_1, API_TOKEN_PEPPER_2 …
API_TOKEN_PEPPERS = {
    number: pepper for number in range(1, 10) if (pepper := _secret(f"api_token_pepper_{number}"))
}

# What it can do without

EMAIL = {
    "SERVER": _get("EMAIL_SERVER", default="localhost"),
    "PORT": _get("EMAIL_PORT", int, "25"),
    "USERNAME": _get("EMAIL_USERNAME", default=""),
    "PASSWORD": _secret("email_password"),
    "USE_SSL": _get("EMAIL_USE_SSL", _bool, "false"),
    "USE_TLS": _get("EMAIL_USE_TLS", _bool, "false"),
    "SSL_CERTFILE": _get("EMAIL_SSL_CERTFILE", default=""),
    "SSL_KEYFILE": _get("EMAIL_SSL_KEYFILE", default=""),
    "TIMEOUT": _get("EMAIL_TIMEOUT", int, "10"),
    "FROM_EMAIL": _get("EMAIL_FROM", default=""),
}

HTTP_PROXIES = {"http": environ.get("HTTP_PROXY"), "https": environ.get("HTTPS_PROXY")}

CORS_ORIGIN_REGEX_WHITELIST = [re.compile(each) for each in _get("CORS_ORIGIN_REGEX_WHITELIST", _list, "")]

_kinds = {
    str: (
        "BANNER_BOTTOM BANNER_LOGIN BANNER_TOP CSRF_COOKIE_NAME MAPS_URL MEDIA_ROOT RELEASE_CHECK_URL"
        " REMOTE_AUTH_GROUP_HEADER REMOTE_AUTH_GROUP_SEPARATOR REMOTE_AUTH_HEADER REMOTE_AUTH_USER_EMAIL"
        " REMOTE_AUTH_USER_FIRST_NAME REMOTE_AUTH_USER_LAST_NAME REPORTS_ROOT SCRIPTS_ROOT SESSION_COOKIE_NAME"
        " SESSION_FILE_PATH TIME_ZONE"
    ),
    int: (
        "CHANGELOG_RETENTION JOB_RETENTION LOGIN_TIMEOUT MAX_PAGE_SIZE PAGINATE_COUNT POWERFEED_DEFAULT_AMPERAGE"
        " POWERFEED_DEFAULT_MAX_UTILIZATION POWERFEED_DEFAULT_VOLTAGE RACK_ELEVATION_DEFAULT_UNIT_HEIGHT"
        " RACK_ELEVATION_DEFAULT_UNIT_WIDTH RQ_DEFAULT_TIMEOUT SECURE_HSTS_SECONDS"
    ),
    _bool: (
        "CENSUS_REPORTING_ENABLED CHANGELOG_RETAIN_CREATE_LAST_UPDATE CORS_ORIGIN_ALLOW_ALL DEBUG DEVELOPER"
        " ENFORCE_GLOBAL_UNIQUE GRAPHQL_ENABLED ISOLATED_DEPLOYMENT LOGIN_PERSISTENCE MAINTENANCE_MODE METRICS_ENABLED"
        " PREFER_IPV4 REMOTE_AUTH_AUTO_CREATE_GROUPS REMOTE_AUTH_AUTO_CREATE_USER REMOTE_AUTH_ENABLED"
        " REMOTE_AUTH_GROUP_SYNC_ENABLED SECURE_HSTS_INCLUDE_SUBDOMAINS SECURE_HSTS_PRELOAD SECURE_SSL_REDIRECT"
    ),
    _list: (
        "ALLOWED_URL_SCHEMES CORS_ORIGIN_WHITELIST CSRF_TRUSTED_ORIGINS EXEMPT_VIEW_PERMISSIONS INTERNAL_IPS"
        " REMOTE_AUTH_BACKEND REMOTE_AUTH_DEFAULT_GROUPS REMOTE_AUTH_SUPERUSERS REMOTE_AUTH_SUPERUSER_GROUPS"
    ),
}
# NetBox has a default of its own for each of them.
globals().update(
    {name: kind(environ[name]) for kind, names in _kinds.items() for name in names.split() if name in environ}
)
