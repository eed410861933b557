"""A provider of identity: Django with its OAuth toolkit, on a port of loopback; run as ``identity_provider.py JSON``.

The JSON has `port`, `folder`, `redirects`, `client_id`, `secret` (empty: a public client), and `users`: name, password
and groups of each. It prints a line once it listens.
"""

import json
import sys
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import django  # type: ignore[import-untyped]  # ships no types
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.conf import settings  # type: ignore[import-untyped]  # ships no types

LOGIN = """<form method="post">{% csrf_token %}{{ form }}<button>Log in</button></form>"""
CONSENT = """<form method="post">{% csrf_token %}{% for field in form %}{% if field.is_hidden %}{{ field }}{% endif %}
{% endfor %}<input type="submit" name="allow" value="Authorize"></form>"""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


def configure(asked: dict[str, object]) -> None:
    """Make this process a Django project of one file."""
    key = generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    templates = {"registration/login.html": LOGIN, "oauth2_provider/authorize.html": CONSENT}
    settings.configure(
        SECRET_KEY="of a test",  # noqa: S106  nobody's
        ALLOWED_HOSTS=["127.0.0.1"],
        ROOT_URLCONF="tests.system.identity_provider_urls",
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{asked['folder']}/id.db"}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "oauth2_provider",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "OPTIONS": {
                    "loaders": [("django.template.loaders.locmem.Loader", templates)],
                    "context_processors": ["django.template.context_processors.request"],
                },
            }
        ],
        LOGIN_URL="/login/",
        OAUTH2_PROVIDER={
            "OIDC_ENABLED": True,
            "OIDC_RSA_PRIVATE_KEY": pem,
            "OIDC_ISS_ENDPOINT": f"http://127.0.0.1:{asked['port']}/o",
            "PKCE_REQUIRED": True,
            "SCOPES": {"openid": "who you are", "profile": "your name", "email": "your address"},
            "OAUTH2_VALIDATOR_CLASS": "tests.system.identity_provider_urls.Claims",
        },
    )
    django.setup()


def fill(asked: dict[str, object]) -> None:
    """Make the client and the users."""
    from django.contrib.auth.models import Group, User  # type: ignore[import-untyped]  # ships no types
    from django.core.management import call_command  # type: ignore[import-untyped]  # ships no types
    from oauth2_provider.models import Application  # type: ignore[import-untyped]  # ships no types

    call_command("migrate", verbosity=0)
    Application.objects.create(
        client_id=asked["client_id"],
        client_secret=asked["secret"],
        client_type="confidential" if asked["secret"] else "public",
        authorization_grant_type="authorization-code",
        redirect_uris=asked["redirects"],
        algorithm="RS256",
        name="anew",
    )
    for name, password, groups in asked["users"]:  # type: ignore[attr-defined]  # as whoever starts it writes it
        user = User.objects.create_user(name, password=password)
        user.groups.set([Group.objects.get_or_create(name=group)[0] for group in groups])


def main() -> None:
    """Serve until killed."""
    asked = json.loads(sys.argv[1])
    sys.path.insert(0, str(Path(__file__).parents[2]))
    configure(asked)
    fill(asked)
    from django.core.handlers.wsgi import WSGIHandler  # type: ignore[import-untyped]  # ships no types

    with make_server("127.0.0.1", asked["port"], WSGIHandler(), _Server, _Quiet) as server:
        sys.stdout.write("listening\n")
        sys.stdout.flush()
        server.serve_forever()


if __name__ == "__main__":
    main()
