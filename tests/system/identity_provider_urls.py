"""Where the provider of identity of the tests answers, and what it says of people; loaded by Django alone."""

import time
from typing import Any

from django.contrib.auth.models import User  # type: ignore[import-untyped]  # ships no types
from django.contrib.auth.views import LoginView  # type: ignore[import-untyped]  # ships no types
from django.http import HttpResponse  # type: ignore[import-untyped]  # ships no types
from django.urls import include, path  # type: ignore[import-untyped]  # ships no types
from jwcrypto import jwk, jwt  # type: ignore[import-untyped]  # ships no types
from oauth2_provider.oauth2_validators import OAuth2Validator  # type: ignore[import-untyped]  # ships no types

__all__ = ["Claims", "urlpatterns"]


class Claims(OAuth2Validator):  # type: ignore[misc]  # it ships no types
    """Says name and groups."""

    oidc_claim_scope = None

    def get_additional_claims(self, request: Any) -> dict[str, object]:
        """Return what is said besides who it is."""
        groups = [each.name for each in request.user.groups.all()]
        return {"preferred_username": request.user.username, "groups": groups}


def said_out(request: Any) -> HttpResponse:
    """Sign that somebody of this name has signed out, as the provider's own word; whoever asks for it."""
    from oauth2_provider.settings import oauth2_settings  # type: ignore[import-untyped]  # ships no types

    key = jwk.JWK.from_pem(oauth2_settings.OIDC_RSA_PRIVATE_KEY.encode())
    claims = {
        "iss": oauth2_settings.OIDC_ISS_ENDPOINT,
        "aud": "anew-dashboard",
        "iat": int(time.time()),
        "jti": "1",
        "sub": str(User.objects.get(username=request.GET["name"]).pk),
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    }
    token = jwt.JWT(header={"alg": "RS256", "typ": "logout+jwt", "kid": key.thumbprint()}, claims=claims)
    token.make_signed_token(key)
    return HttpResponse(token.serialize())


urlpatterns = [
    path("said-out/", said_out),
    path("login/", LoginView.as_view()),
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
]
